"""A build, and a device in integers behind a transport, for the driver's tests."""

import time
from functools import partial

import numpy as np
import pytest

from boards import find
from gen.build.builder import build
from gen.build.planning import design_for
from gen.ir.blocks import answering
from host.errors import LinkError
from hw import slip
from hw.device import DeviceModel
from hw.link import Model
from hw.mailbox import MailboxModel
from tests.networks import STEPPING, convolutional, linear, residual, stepping, wide
from tests.sequences import layered

NETWORKS = {"linear": linear, "convolutional": convolutional, "residual": residual, "wide": wide,
            "stepping": partial(stepping, STEPPING["cif"], levels=4)}


STREAM = 2
"""Elements of a block."""

SEQUENCES = {"stream": {"stream": STREAM}, "interleaved": {"interleaved": 3},
             "both": {"stream": STREAM, "interleaved": 3}}
"""Builds for sequences, by name."""

_DESIGNS = {}


def _design(network, stream=None):
    """Its plan takes longer than a test."""
    key = network.digest, stream
    if key not in _DESIGNS:
        _DESIGNS[key] = design_for(network, find("arty-a7"), stream=stream)
    return _DESIGNS[key]


class ModelTransport:
    """The line to a device in integers, through which ``spoil`` lets bytes of either direction.
    With ``stream`` its samples are blocks of so many elements."""

    name, baud = "model", 1_000_000

    def __init__(self, network, *, spoil=bytes, stream=None):
        self.spoil, self.cut, self.stream = spoil, False, stream
        self._sent, self._received = bytearray(), bytearray()
        self.reset(network)

    def reset(self, network=None):
        """Begin anew, with another network if one is given."""
        self.network = network or self.network
        self._blocks = []
        design = _design(self.network, self.stream)
        device = DeviceModel(design.config, self._compute, digest=design.digest,
                             clock_hz=100_000_000)
        self.target = MailboxModel(device)
        self.link = Model(device.registers, self.target)
        self.layout = design.config.input

    def _compute(self, beats, timesteps):
        layout = self.layout
        counts = np.array([[beat >> layout.bits * k & (1 << layout.bits) - 1
                            for k in range(layout.word)] for beat in beats])
        counts = counts.reshape(layout.height, layout.width, -1)[:, :, :layout.channels]
        counts = counts.transpose(2, 0, 1)
        if self.stream:
            return self._answer(counts, beats[0] >> layout.beat_bits), 0, 1234
        counts = counts.reshape(1, *self.network.input_shape)
        trace = self.network.run(counts, timesteps=timesteps)
        quiet = self.network.quiet(trace)
        bits = sum(int(quiet[core.name][0]) << k
                   for k, core in enumerate(_design(self.network).config.settling))
        return trace.logits[0].tolist(), bits, 1234

    def _answer(self, block, begins):
        """The logits after a block of a sequence."""
        self._blocks = [block] if begins else [*self._blocks, block]
        network = answering(self.network, self.stream, len(self._blocks))
        logits = network.run(np.concatenate(self._blocks, axis=1)[None]).logits
        return logits.reshape(network.classes, -1)[:, -1].tolist()

    def write(self, data):
        if self.cut:
            return
        self._sent += self.spoil(data)
        # An escape is only understood together with what follows it.
        whole = self._sent.rfind(slip.END) + 1
        symbols, self._sent = [(byte, 0) for byte in self._sent[:whole]], self._sent[whole:]
        answers = slip.Encoder.model(self.link.feed(slip.Decoder.model(symbols)))
        self._received += self.spoil(answers)

    def read(self, seconds):
        if not self._received:
            time.sleep(seconds)
        received, self._received = bytes(self._received), bytearray()
        return received


class BrokenTransport:
    """A line that was pulled out."""

    name, baud = "broken", 1_000_000

    def write(self, data):
        raise LinkError("broken: the line was cut while writing")


@pytest.fixture(scope="session")
def builds(tmp_path_factory):
    """Name of a network -> its build's directory, built when first asked for."""
    folder, done = tmp_path_factory.mktemp("builds"), {}

    def get(name, link="uart"):
        place = name if link == "uart" else f"{name}-{link}"
        if place not in done:
            network, options = ((layered(), SEQUENCES[name]) if name in SEQUENCES else
                                (NETWORKS[name](), {}))
            board = "arty-a7" if link == "uart" else "nitefury"
            build(network, board=board, out=folder / place, synthesise=False, link=link, **options)
            done[place] = folder / place
        return done[place]
    return get


@pytest.fixture
def images():
    """Network and number -> random raw images."""
    def get(network, count, seed=0):
        rng = np.random.default_rng(seed)
        return rng.integers(0, network.pixel_max + 1, (count, *network.input_shape), np.uint32)
    return get
