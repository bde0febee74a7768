# amaranth: UnusedElaboratable=no
"""What ports there are. `tests/cocotb/test_axi.py` has what moves over them."""

from dataclasses import replace

import numpy as np
import pytest

from gen.build import selftest
from gen.plan.mapping import map_network
from hw.axi import AxiStream
from tests.networks import linear, settling

from .standin import DIGEST

STREAMS = {f"{side}_axis_{name}" for side in "sm"
           for name in ("tdata", "tvalid", "tready", "tlast")} | {"m_axis_tuser"}


def device(network, **options):
    config, image = map_network(network, **options)
    return AxiStream(config, image | selftest.image(network, config), digest=DIGEST, clock_hz=1)


def test_ports():
    network = settling()
    tested = replace(network, samples=np.zeros((1, *network.input_shape), np.int64))
    assert set(device(linear()).signature.members) == STREAMS
    assert set(device(tested, selftests=1).signature.members) == STREAMS | {"timesteps", "passed"}


def test_memories_may_not_be_loaded():
    config, image = map_network(linear())
    with pytest.raises(ValueError, match="no port to load memories by"):
        AxiStream(replace(config, reloadable=True), image, digest=DIGEST, clock_hz=1)
