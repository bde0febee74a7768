import pytest

from gen.plan.workload import layer_clocks
from gen.verify.beats import pack, to_ints
from hw.core import Core

from .cases import LAYERS, mapped
from .streams import STALLS, run


def ints(counts, fmap):
    return to_ints(pack(counts, fmap).reshape(len(counts) * fmap.beats, -1))


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", LAYERS)
def test_core_fires_what_the_network_fires(name, code, stalls):
    _, inputs, trace, config, image = mapped(name, code)
    layer = config.layers[0]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    expected = ints(trace.counts["layer"], layer.out)
    inputs = inputs.reshape(len(inputs), *(getattr(config.input, axis)
                                           for axis in ("channels", "height", "width")))
    received, _, _ = run(dut, [(dut.i0, ints(inputs, config.input))], [(dut.o, len(expected))],
                         stalls=stalls, pulses=[dut.busy])
    assert received == expected


@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", LAYERS)
def test_core_takes_the_clocks_of_the_formula(name, code):
    _, inputs, _trace, config, image = mapped(name, code, samples=10)
    layer = config.layers[0]
    dut = Core(layer, image[f"{layer.port}.weights"].rows, image[f"{layer.port}.parameters"].rows)
    inputs = inputs.reshape(len(inputs), *(getattr(config.input, axis)
                                           for axis in ("channels", "height", "width")))
    count = len(inputs) * layer.out.beats
    _, _busy, clocks = run(dut, [(dut.i0, ints(inputs, config.input))], [(dut.o, count)],
                          pulses=[dut.busy], convert=False)
    formula = layer_clocks(layer, [inputs]).sum()
    start = config.input.beats + layer.sources[0].taps + 12
    assert formula <= clocks <= 1.03 * formula + start
