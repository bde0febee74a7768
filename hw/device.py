"""The device that links are in front of: an array behind streams of samples and results."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .bits import one_hot_mux
from .bus import DeviceBus
from .config import ArrayConfig
from .contents import QUIET, ContentsBus, shapes, share
from .feeder import Collector, Feeder, Packing, Word
from .loader import LoadBus, Loader, crc
from .registers import MAGIC, VERSION, RegisterMap
from .run import timesteps_member
from .selftest import SelfTest, selftest_words
from .stream import Queue

__all__ = ["Device", "DeviceModel", "answer", "contents", "identity", "packing", "register_map"]

def packing(config):
    """How the input of an array lies in words of a sample."""
    return Packing(config.input.beats, config.input_bits)


def answer(config, logits, quiet):
    """Words of a result, without the clocks: of the logits, a position's after the other, and of
    ``quiet``, a bit for each layer that was."""
    return [*(logit >> 32 * k & 0xffffffff for logit in logits for k in range(config.logit_words)),
            *(quiet >> 32 * k & 0xffffffff for k in range(config.quiet_words))]


def register_map(config):
    """The register map that a host sees of the device around an array."""
    readout = config.readout
    return RegisterMap(packing(config).words, readout.channels * config.positions,
                       config.logit_words, quiet_words=config.quiet_words,
                       most_timesteps=config.timesteps,
                       memories=len(shapes(config)) if config.reloadable else 0,
                       selftests=config.selftests)


def _digest_words(digest):
    if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"digest must be 64 hexadecimal digits in lower case, not {digest!r}")
    octets = bytes.fromhex(digest)
    return [int.from_bytes(octets[k:k + 4], "little") for k in range(0, 32, 4)]


def contents(config, image, holds=None):
    """What a :class:`Device` knows of its memories, as arguments of it.

    Parameters
    ----------
    image : contents of the memories, by name
    holds : 64 hexadecimal digits that say what they hold, if they may be loaded
    """
    known = {}
    if config.reloadable:
        known |= {"holds": holds, "crcs": [crc(image[shape.name].rows, shape)
                                           for shape in shapes(config)]}
    if config.selftests:
        known["selftest"] = selftest_words(config, image)
    return known


def identity(config, *, digest, clock_hz):
    """First words of the register map, and a check of what every device is described by."""
    if not isinstance(config, ArrayConfig):
        raise TypeError(f"config must be an ArrayConfig, not {config!r}")
    if not isinstance(clock_hz, int) or not 0 < clock_hz < 1 << 32:
        raise ValueError(f"clock_hz must be a positive integer of 32 bits, not {clock_hz!r}")
    return [MAGIC, VERSION, *_digest_words(digest), clock_hz]


class DeviceModel:
    """The device in integers.

    Parameters
    ----------
    config : :class:`~hw.config.ArrayConfig`
    compute : input beats of a sample, and the time-steps of its run, to its logits, a bit for each
        layer that was quiet, and the clocks it takes, which pass at once
    digest, clock_hz : as for :class:`Device`
    """

    def __init__(self, config, compute, *, digest, clock_hz):
        where = self.registers = register_map(config)
        self._config, self._packing, self._compute = config, packing(config), compute
        self._facts = dict(enumerate(identity(config, digest=digest, clock_hz=clock_hz)))
        self._facts |= {where.input_size: where.input_words, where.output_size: where.classes}

    def read(self, addr):
        """The word at an address of the bus."""
        return self._facts.get(addr, 0)

    def run(self, words, timesteps=1):
        """The words of a sample to those of its result."""
        logits, quiet, clocks = self._compute(self._packing.unpack(words), timesteps)
        return [*answer(self._config, logits, quiet), clocks]


class Device(wiring.Component):
    """A device without its links.

    Samples come as words, ``packing(config).words`` each, as :class:`~hw.feeder.Packing` says.
    Results go in the order of the samples. A result has the words of the logits, one or two each,
    the lowest first; then, if the neurons of some layers come to rest, bits for those that were
    quiet (see :class:`~hw.array.Array`); and last the clocks from the sample's first input beat to
    its last logits. Either side may stall at any word. At most ``config.in_flight`` samples are
    computed at once.

    Parameters
    ----------
    array : the component that computes, with the members of :class:`~hw.array.Array`
    config : :class:`~hw.config.ArrayConfig`
    digest : 64 hexadecimal digits, what the device is known by
    clock_hz : frequency of the clock
    crcs, holds : of the memories at power-up, if they may be loaded, see
        :class:`hw.loader.Loader`; ``holds`` are 64 hexadecimal digits
    selftest : words of samples, and of their results, if the device tests itself, see
        :class:`hw.selftest.SelfTest`

    Members
    -------
    i : ``In(stream.Signature(32))``, samples
    o : ``Out(stream.Signature(Word))``, results
    bus : ``In(DeviceBus)``, what the device is: ``magic``, ``version``, ``digest``, ``clock_hz``,
        ``input_size`` and ``output_size`` of :class:`~hw.registers.RegisterMap`
    timesteps : ``In``, of the run; it may change while there is no sample. Only if there are
        several
    load : ``In(LoadBus)``; only if memories may be loaded
    passed : ``Out(1)``, its test of itself; only if there is one
    """

    def __init__(self, array, config, *, digest, clock_hz, crcs=(), holds=None, selftest=None):
        self._identity = identity(config, digest=digest, clock_hz=clock_hz)
        self._array, self._config = array, config
        self._crcs, self._holds, self._selftest = crcs, holds, selftest
        super().__init__({
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(Word)),
            "bus": In(DeviceBus),
            **timesteps_member(config.timesteps, In),
            **({"load": In(LoadBus)} if config.reloadable else {}),
            **({"passed": Out(1)} if selftest else {}),
        })

    def elaborate(self, platform):
        m = Module()

        readout = self._config.readout
        m.submodules.array = array = self._array
        if self._config.timesteps > 1:
            m.d.comb += array.timesteps.eq(self.timesteps)
        m.submodules.feeder = feeder = Feeder(packing(self._config))
        m.submodules.collector = collector = Collector(
            readout.channels, readout.lanes, readout.membrane_bits,
            positions=self._config.positions, quiet=len(self._config.settling))
        if self._config.settling:
            m.d.comb += collector.quiet.eq(array.quiet)
        # Whether the array takes a beat does not reach the feeder in the same clock.
        m.submodules.beats = beats = Queue(feeder.o.p.shape(), depth=3)
        m.submodules.times = times = Queue(32, depth=self._config.in_flight)
        if self._selftest:
            test = self._test(m, feeder, collector)
        else:
            connect(m, flipped(self.i), feeder.i)
            connect(m, collector.o, flipped(self.o))
        connect(m, feeder.o, beats.i)
        connect(m, array.o, collector.i)
        connect(m, times.o, collector.began)

        # The first beat of a sample moves together with the time.
        clock = Signal(32, reset_less=True)
        first, room = beats.o.p.first, Signal()
        m.d.sync += clock.eq(clock + 1)
        m.d.comb += [
            collector.clock.eq(clock),
            room.eq(~first | times.i.ready),
            array.i.payload.eq(beats.o.p.beat),
            array.i.valid.eq(beats.o.valid & room),
            beats.o.ready.eq(array.i.ready & room),
            times.i.payload.eq(clock),
            times.i.valid.eq(beats.o.valid & array.i.ready & first),
        ]
        where, facts = register_map(self._config), {}
        if self._config.reloadable:
            loader = self._load(m, beats.o.valid)
            buses = [array.contents, *([self._delayed(m, test)] if self._selftest else [])]
            share(m, loader.array, buses)
            facts |= {where.health: Value.cast(loader.health),
                      **{where.holds + k: loader.holds[k] for k in range(8)}}
            if self._selftest:
                m.d.comb += [
                    test.again.eq(loader.loaded), test.may.eq(loader.health.intact),
                    loader.bus.idle.eq(self.load.idle & ~test.under_way),
                ]
        if self._selftest:
            facts[where.selftest] = Cat(test.running, test.passed, test.failed)
        self._read(m, facts)
        return m

    def _test(self, m, feeder, collector):
        """Let the device test itself. Its runs have all time-steps."""
        number = len(self._config.cores) if self._config.reloadable else None
        m.submodules.test = test = SelfTest(*self._selftest, number=number)
        connect(m, flipped(self.i), test.i)
        connect(m, test.o, feeder.i)
        connect(m, collector.o, test.results)
        connect(m, test.answers, flipped(self.o))
        m.d.comb += self.passed.eq(test.passed)
        if self._config.timesteps > 1:
            with m.If(test.running):
                m.d.comb += self._array.timesteps.eq(self._config.timesteps)
        return test

    def _delayed(self, m, test):
        """The test's bus, with words as late as those of the array."""
        bus = ContentsBus.create(path=("test",))
        share(m, bus, [test.contents], late=True)
        return bus

    def _load(self, m, waits):
        """Let a host load the memories. They are checked while the array has been quiet for a
        while, which is not when the last logits have left: rows may still be computed that the
        next block of a sequence looks at.

        Parameters
        ----------
        waits : a beat waits to enter the array
        """
        where = register_map(self._config)
        m.submodules.loader = loader = Loader(self._config, where, crcs=self._crcs,
                                              holds=_digest_words(self._holds))
        quiet = Signal(range(QUIET))
        m.d.comb += loader.idle.eq(quiet == QUIET - 1)
        with m.If(loader.array.active | waits):
            m.d.sync += quiet.eq(0)
        with m.Elif(~loader.idle):
            m.d.sync += quiet.eq(quiet + 1)
        connect(m, flipped(self.load), loader.bus)
        return loader

    def _read(self, m, others):
        """First what lies at the address, then its word."""
        where = register_map(self._config)
        facts = {**dict(enumerate(self._identity)),
                 where.input_size: where.input_words, where.output_size: where.classes, **others}
        here = Signal(len(facts))
        m.d.sync += [
            here.eq(Cat(self.bus.addr == address for address in facts)),
            self.bus.r_data.eq(one_hot_mux(here, facts.values())),
        ]
