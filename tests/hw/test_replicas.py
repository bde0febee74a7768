# amaranth: UnusedElaboratable=no
from dataclasses import replace

import pytest

from gen.plan.workload import layer_clocks
from hw.replicas import Replicas

from .cases import mapped
from .streams import STALLS, run
from .test_core import ints


def replicated(name, replicas, **kwargs):
    layer = "second" if name == "residual" else "layer"
    _, inputs, trace, config, image = mapped(name, replicas={layer: replicas}, **kwargs)
    core = next(core for core in config.cores if core.name == layer)
    dut = Replicas(core, image[f"{core.port}.weights"].rows, image[f"{core.port}.parameters"].rows)
    counts = [inputs if source.layer < 0 else trace.counts[config.layers[source.layer].name]
              for source in core.sources]
    return core, dut, counts, ints(trace.counts[layer], core.out)


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("name,replicas", [("conv", 2), ("conv", 4), ("strided", 3),
                                           ("residual", 2), ("pointwise", 3)])
def test_replicas_fire_what_the_network_fires(name, replicas, stalls):
    core, dut, counts, expected = replicated(name, replicas)
    received, _ = run(dut, [(i, ints(c, source.map))
                            for i, c, source in zip(dut.i, counts, core.sources, strict=True)],
                      [(dut.o, len(expected))], stalls=stalls)
    assert received == expected


@pytest.mark.parametrize("replicas", [2, 3, 6])
def test_replicas_share_the_clocks(replicas):
    core, dut, counts, expected = replicated("conv", replicas, samples=10)
    _, clocks = run(dut, [(dut.i0, ints(counts[0], core.sources[0].map))],
                    [(dut.o, len(expected))], convert=False)
    alone = layer_clocks(replace(core, replicas=1), counts).sum()
    formula = layer_clocks(core, counts).sum()
    assert formula < 1.4 * alone / replicas
    # A replica may be a row ahead of the others, and so hide that another sample takes it longer.
    assert 0.97 * formula <= clocks <= 1.03 * formula + 100


@pytest.mark.parametrize("replicas", [1, 7])
def test_no_more_replicas_than_rows(replicas):
    _, _, _, config, _ = mapped("conv")
    with pytest.raises(ValueError, match=rf"^replicas must be 2 to 6 \(the output rows\), not "
                                         rf"{replicas}$"):
        Replicas(replace(config.layers[0], replicas=replicas), (), ())
