from dataclasses import replace

import numpy as np
import pytest

from gen.errors import FitError
from gen.ir import shipped
from gen.ir.layers import INPUT, Pool
from gen.ir.network import Network
from gen.plan import rings
from gen.plan.mapping import map_config, options
from gen.plan.workload import Workload
from tests import networks
from tests.networks import neurons, readout, synapses

# Rows that a layer may be late.
SPARE = 3


def chain(height, *layers, seed=0):
    """A network of convolutions (kernel, stride, padding) and pools (kernel), one column wide."""
    rng, source, built, now = np.random.default_rng(seed), INPUT, [], (2, height, 1)
    for k, (kernel, *rest) in enumerate(layers):
        if rest:
            stride, padding = rest
            built.append(neurons(rng, f"l{k}", synapses(
                rng, source, (2, 2, kernel, 1), stride=(stride, 1), padding=(padding, 0))))
        else:
            built.append(Pool(f"l{k}", source, "max", (kernel, 1), (kernel, 1)))
        now, source = built[-1].out_shape([now]), f"l{k}"
    return Network("chain", (2, height, 1), 3, 3, (*built, readout(rng, source, (3, *now))))


def replaced(config, rows):
    """With ``rows(source)`` rows in each spike memory."""
    return replace(config, layers=tuple(
        layer.with_rows(tuple(map(rows, layer.sources))) for layer in config.layers))


@pytest.mark.parametrize("height,layers,rows", [
    (20, [(3, 1, 1), (3, 1, 1)], [4 + SPARE, 4 + SPARE, 40]),
    (20, [(1, 1, 0), (5, 1, 2)], [2 + SPARE, 6 + SPARE, 40]),
    (20, [(2,), (3, 2, 1)], [4 + SPARE, 5 + SPARE, 10]),
    (1, [(1, 1, 0)], [2, 2]),
    (4, [(3, 1, 1)], [4 + SPARE, 8]),
])
def test_a_ring_is_as_deep_as_its_kernel(height, layers, rows):
    config = map_config(chain(height, *layers))
    assert rings.ring_rows(config) == tuple((few,) for few in rows)
    assert [layer.sources[0].rows for layer in config.layers] == rows


@pytest.mark.parametrize("replicas", [1, 2, 5, 20])
def test_replicas_need_the_rows_between_theirs(replicas):
    config = map_config(chain(20, (3, 1, 1)), replicas={"l0": replicas})
    assert 3 + replicas <= config.layers[0].sources[0].rows <= min(40, 3 + 2 * replicas + SPARE)


def test_replicas_of_a_layer_with_much_padding():
    """Each sees fewer rows than the layer, but the layer's own windows must fit."""
    config = map_config(chain(1, (3, 1, 2)), replicas={"l0": 3})
    assert config.layers[0].sources[0].rows == 3


@pytest.mark.parametrize("name", ["digits", "mnist", "cifar-10"])
def test_no_memory_is_larger_than_two_maps(name):
    network = shipped.find(name)
    for replicas in (1, 2, 4):
        config = map_config(network, replicas={
            core.name: min(replicas, core.out.height) for core in map_config(network).cores
            if not core.sends_logits})
        assert all(source.least_rows <= source.rows <= 2 * source.map.height
                   for layer in config.layers for source in layer.sources)


@pytest.mark.parametrize("height,length", [(16, 2), (16, 5), (3, 4), (1, 3)])
def test_a_residual_connection_does_not_throttle(height, length):
    network = networks.skipping(height, length)
    config = map_config(network, lanes={layer.name: 1 for layer in network.layers})
    work = Workload(network, networks.counts_for(network, 20))
    free = work.interval(replaced(config, lambda source: 20 * source.map.height))
    assert work.interval(config) <= 1.01 * free
    skip = config.layers[length + 1].sources[1]
    assert skip.layer == 0
    assert skip.rows > 2 * height or height == 16


def test_a_short_ring_beside_a_long_way_throttles_and_then_stops():
    """Why the rows of the skip matter, and that the model of the pipeline notices."""
    length = 5
    network = networks.skipping(16, length)
    config = map_config(network, lanes={layer.name: 1 for layer in network.layers})
    work = Workload(network, networks.counts_for(network, 20))

    def skip(rows):
        return replaced(config, lambda source: rows if (source.layer, source.kernel) == (0, (1, 1))
                        else source.rows)

    assert work.interval(skip(length + 2)) > 1.1 * work.interval(config)
    with pytest.raises(ValueError, match=r"^the array stands still: a spike memory holds too few "
                                         r"rows$"):
        work.interval(skip(length))


def test_more_room_makes_no_array_faster():
    """At the rows that are chosen, shipped networks lose less than 1 % of their speed."""
    network = shipped.find("mnist")
    work = Workload(network)
    for replicas in ({"conv1": 2, "conv2": 4}, {"conv1": 3, "conv2": 6}):
        config = map_config(network, lanes={"conv2": 32, "fc1": 16}, replicas=replicas)
        roomy = replaced(config, lambda source: 2 * source.map.height)
        assert work.interval(config) <= 1.01 * work.interval(roomy)


def test_rows_that_are_given():
    """A memory may have any number of rows from those that it needs to two whole maps."""
    network = chain(20, (3, 1, 1), (3, 1, 1))
    config = map_config(network, rows={"l1": [31]})
    assert [layer.sources[0].rows for layer in config.layers] == [4 + SPARE, 31, 40]
    assert options(config)["rows"] == {"l0": [7], "l1": [31], "out": [40]}
    assert map_config(network, **options(config)) == config


@pytest.mark.parametrize("rows,message", [
    ({"l1": [6]}, r"rows of l1 must be from \[7\] to \[40\], not \[6\]"),
    ({"l1": [41]}, r"rows of l1 must be from \[7\] to \[40\], not \[41\]"),
    ({"l1": [8, 8]}, r"rows of l1 must be from \[7\] to \[40\], not \[8, 8\]"),
    ({"l2": [8]}, "rows: there is no layer 'l2'"),
])
def test_rows_that_are_refused(rows, message):
    with pytest.raises(FitError, match=message):
        map_config(chain(20, (3, 1, 1), (3, 1, 1)), rows=rows)
