"""A stand-in for the array, with the same ports and a model that needs one line."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import ArrayConfig
from hw.layers import CoreConfig
from hw.maps import MapConfig, SourceConfig
from hw.programs import settle

__all__ = ["DIGEST", "StandIn", "config", "logits"]

DIGEST = "00112233445566778899aabbccddeeff" * 2


def config(*, channels=5, size=3, word=5, classes=5, lanes=2):
    """Nine beats of 20 bits, and three beats of two logits, unless told otherwise."""
    source = SourceConfig(MapConfig(channels, size, size, 15, word), -1, (size, size), (1, 1),
                          (0, 0))
    core = CoreConfig("out", "l0_out", (source,), lanes, classes, 4, 17, (1,),
                      settle([source.map], None))
    return ArrayConfig(source.map, (core,))


def logits(config, beats):
    """Logit k is the sum of all beats times k + 1, less 1000, in the bits of a logit."""
    bits = config.readout.membrane_bits
    values = [(sum(beats) * (k + 1) - 1000) % (1 << bits) for k in range(config.readout.channels)]
    return [value - (value >> bits - 1 << bits) for value in values]


class StandIn(wiring.Component):
    """Sums the beats of a sample, then sends its logits."""

    def __init__(self, config):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(config.input.beat_bits)),
            "o": Out(stream.Signature(config.readout.beat_bits)),
        })

    def elaborate(self, platform):
        m = Module()

        beats, readout = self._config.input.beats, self._config.readout
        total = Signal(readout.membrane_bits)
        left = Signal(range(beats + 1), init=beats)
        group = Signal(range(readout.groups + 1))
        m.d.comb += [
            self.i.ready.eq(left != 0),
            self.o.valid.eq(left == 0),
            self.o.payload.eq(Cat((total * (group * readout.lanes + k + 1) - 1000)[:len(total)]
                                  for k in range(readout.lanes))),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += total.eq(total + self.i.payload)
            m.d.sync += left.eq(left - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += group.eq(group + 1)
            with m.If(group == readout.groups - 1):
                m.d.sync += Cat(group, total).eq(0)
                m.d.sync += left.eq(beats)

        return m
