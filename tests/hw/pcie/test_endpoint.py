# amaranth: UnusedElaboratable=no
"""The endpoint in front of a device, against a host that splits and reorders completions."""

import random

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from hw.device import Device, DeviceModel, packing, register_map
from hw.pcie.endpoint import Endpoint
from hw.pcie.registers import RingMap, Status
from hw.pcie.rings import ResultRing
from tests.hw.standin import DIGEST, StandIn, config, logits

from .root import Root

RING = RingMap()
SHAPES = {"small": config(channels=1, size=1, word=1, classes=1, lanes=1), "words": config(),
          "large": config(channels=8, size=12, word=8, classes=10, lanes=4)}


class Subject(wiring.Component):
    """An endpoint and a device, as the link sees them."""

    def __init__(self, shape, *, patience=1 << 12):
        self.config = shape
        self.endpoint = Endpoint(register_map(shape), patience=patience)
        members = dict(self.endpoint.signature.members)
        for name in ("samples", "results", "device"):
            del members[name]
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.endpoint = endpoint = self.endpoint
        m.submodules.device = device = Device(StandIn(self.config), self.config, digest=DIGEST,
                                              clock_hz=1)
        connect(m, endpoint.samples, device.i)
        connect(m, device.o, endpoint.results)
        connect(m, endpoint.device, device.bus)
        for name in self.signature.members:
            connect(m, flipped(getattr(self, name)), getattr(endpoint, name)) if hasattr(
                getattr(self, name), "signature") else self._wire(m, name)
        return m

    def _wire(self, m, name):
        inner, outer = getattr(self.endpoint, name), getattr(self, name)
        if self.signature.members[name].flow is wiring.In:
            m.d.comb += inner.eq(outer)
        else:
            m.d.comb += outer.eq(inner)


def answers(shape, samples):
    """Words of the results, without the clocks."""
    model = DeviceModel(shape, lambda beats, _: (logits(shape, beats), 0, 0), digest=DIGEST,
                        clock_hz=1)
    return [model.run(sample)[:-1] for sample in samples]


def random_samples(shape, count, seed):
    rng = random.Random(seed)
    return [packing(shape).pack([rng.getrandbits(shape.input.beat_bits)
                                 for _ in range(shape.input.beats)]) for _ in range(count)]


async def stream(root, samples, places, *, record, mask=1023, already=0):
    """Send samples through the rings, as a host does; records of the results."""
    sent, taken, found = already, already, []
    source, sink, block = places
    waiting = list(samples)
    size = len(waiting[0]) if waiting else 0
    flying = 0
    while len(found) < len(samples):
        while waiting and (flying + 1) * size <= mask + 1:
            for word in waiting.pop(0):
                root.put(source + 4 * (sent & mask), [word])
                sent = sent + 1 & 0xffffffff
            flying += 1
            root.write(RING.samples_index, sent)
        produced, _ = root.words(block, 2)
        while (produced - taken) & 0xffffffff >= record:
            found.append([root.words(sink + 4 * (taken + k & mask), 1)[0]
                          for k in range(record)])
            taken = taken + record & 0xffffffff
            flying -= 1
            root.write(RING.results_index, taken)
        await root.ctx.tick()
    return found


STALLS = {"none": (0, 0), "input": (0.6, 0), "output": (0, 0.6), "both": (0.4, 0.4)}


@pytest.mark.parametrize("base", [0x8000_0000, 0x23_0000_0000], ids=["3DW", "4DW"])
@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_samples_and_results(shape, stalls, base):
    where, count = SHAPES[shape], 20 if shape == "large" else 60
    samples = random_samples(where, count, shape)
    idle, busy = STALLS[stalls]
    places = base, base + 0x4000, base + 0x8000
    found = []

    async def host(root):
        root.ctx.set(root.dut.max_read, 1)
        await root.open(7, samples=places[0], results=places[1], block=places[2])
        assert await root.read(register_map(where).session) == [7]
        found.extend(await stream(root, samples, places,
                                  record=register_map(where).result_words))

    root = Root(Subject(where), base=base, idle=idle, busy=busy, seed=count)
    root.run(host)
    wanted = answers(where, samples)
    assert [record[0] for record in found] == list(range(1, count + 1))
    assert [record[1:-1] for record in found] == wanted
    assert len(ResultRing.model(wanted)) == sum(map(len, found)) - count
