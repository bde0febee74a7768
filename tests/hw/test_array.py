import pytest

from gen.verify.beats import pack, to_ints
from hw.array import Array

from .cases import NETWORKS, logits, mapped
from .streams import STALLS, run


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("code", ["phase", "rate"])
@pytest.mark.parametrize("name", NETWORKS)
def test_array_computes_the_logits(name, code, stalls):
    _, inputs, trace, config, image = mapped(name, code, samples=3)
    dut = Array(config, image)
    beats = to_ints(pack(inputs, config.input).reshape(len(inputs) * config.input.beats, -1))
    received, _ = run(dut, [(dut.i, beats)], [(dut.o, len(inputs) * config.readout.groups)],
                      stalls=stalls)
    assert (logits(config.readout, received) == trace.logits).all()
