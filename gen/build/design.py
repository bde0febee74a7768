"""The decisions of a build, and their file: ``design.json`` in the build's directory.

Only :mod:`gen.build.planning` plans. Later steps read the decisions from the directory
(:func:`load`).
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from boards import Board
from firmware.image import ImageError, Memory, pack, unpack
from gen.errors import BuildError, FitError, NetworkError
from gen.ir import artifact
from gen.ir.blocks import answering
from gen.ir.interleaved import apart, interleave, together
from gen.ir.network import Network
from gen.plan import resources
from gen.plan.kinds import kind
from gen.plan.mapping import map_config, map_network, options
from gen.plan.memories import Placement
from gen.system import files
from gen.system.plain import Mismatch, from_plain, to_plain
from hw.config import ArrayConfig, MemoryImage
from hw.contents import shapes
from hw.device import packing
from hw.uart import divisor

from . import link, manifest, selftest
from .clocking import Clock

__all__ = ["FILES", "IMAGE", "NAME", "Design", "identity_digest", "load",
           "require_emitted", "save"]

NAME, IMAGE = "design.json", "memory.img"

FILES = (NAME, IMAGE, manifest.NETWORK)
"""The files that :func:`save` writes."""

HOLDS = "holds"
"""What stands in an image, beside the memories that a host may load, for the digest of the
network."""

_FORMAT = 3

_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Decisions:
    """The part of a design that ``design.json`` holds.

    Parameters
    ----------
    config : shape of the array
    placement : which of its memories go to block RAM
    clock : the fabric's
    baud : speed of the serial link, or None if the link is PCI Express
    interval : predicted clocks from one sample to the next
    calibration : the samples of that prediction
    """

    config: ArrayConfig
    placement: Placement
    clock: Clock
    baud: int | None
    interval: float
    calibration: str


@dataclass(frozen=True)
class Design(Decisions):
    """A network as a board runs it: the decisions, and what they are about.

    Parameters
    ----------
    network : what runs
    board : where it runs
    image : contents of the array's memories, by name
    """

    network: Network
    board: Board
    image: dict[str, MemoryImage]

    @property
    def code(self) -> str:
        """How layers replay each other's spike counts, ``"phase"`` or ``"rate"``."""
        return self.config.readout.schedule.code

    def seen(self, images: ArrayLike) -> tuple[Network, ArrayConfig, np.ndarray]:
        """What the device computes for raw images.

        Parameters
        ----------
        images : in a shape that :meth:`Network.shaped` takes

        Returns
        -------
        The network; a configuration whose samples are those of the network; and the samples ``(N,
        C, H, W)``, which are the images, or several side by side (:meth:`apart`). If the device
        takes sequences block by block, they are the whole blocks of the images, and the network
        answers after each; the beats of a sample are then those of its blocks.

        Raises
        ------
        NetworkError
            If the images have another shape, or not the elements of a block.
        """
        count, given = self.config.interleaved, options(self.config)
        network = interleave(self.network, count)
        samples = together(self.whole(images), count)
        if not self.config.continues:
            return network, self.config, samples
        rows = self.config.input.height
        network = answering(network, rows, samples.shape[2] // rows)
        config = map_config(network, lanes=given["lanes"], replicas=given["replicas"],
                            code=given["code"], slice_steps=given["slice_steps"],
                            differential=given.get("differential"))
        return network, config, samples

    def whole(self, images: ArrayLike) -> np.ndarray:
        """The images as ``(N, C, H, W)``; if the device takes sequences block by block, without the
        elements after the last whole block. The error is that of :meth:`seen`."""
        images = self.network.shaped(images)
        if not self.config.continues:
            return images
        rows, elements = self.config.input.height, images.shape[2]
        if elements < rows:
            raise NetworkError(f"{self.network.name}: a sequence of {elements} elements has no "
                               f"block of {rows}")
        return images[:, :, :elements // rows * rows]

    def apart(self, logits: np.ndarray, images: int) -> np.ndarray:
        """The logits of so many images, of those of the samples that hold them."""
        return apart(logits, self.config.interleaved, images)

    @property
    def needs(self) -> resources.Prediction:
        """The predicted resources."""
        return resources.predict(self.config, self.board.family.name, self.board.budget.brams,
                                 self.image)

    @property
    def identity(self) -> dict:
        """The facts in the manifest that the digest covers: the network, the array's shape, and all
        that a host needs in order to pack an input and to find the answer. If memories may be
        loaded, their shapes take the place of the network."""
        config, layout, network = self.config, self.config.input, self.network
        return {
            **({"memories": [[shape.name, shape.width, shape.depth] for shape in shapes(config)]}
               if config.reloadable else {"network_digest": network.digest}),
            "array_digest": config.digest(),
            "input": {
                "shape": [network.input_shape[0], layout.height, network.input_shape[2]]
                if config.continues else list(network.input_shape),
                "map": [layout.channels, layout.height, layout.width],
                "levels": network.input_levels, "pixel_max": network.pixel_max,
                "word": layout.word, "bits": layout.bits, "chunks": layout.chunks,
                "beats": layout.beats, "beat_bits": config.input_bits,
                "words": packing(config).words,
                **({"continues": True} if config.continues else {}),
                **({"interleaved": config.interleaved} if config.interleaved > 1 else {}),
            },
            "output": {
                "classes": config.readout.channels, "bits": config.readout.membrane_bits,
                "settling": [core.name for core in config.settling], "charged": network.charged,
                **({"positions": list(config.readout.sources[0].positions)}
                   if config.positions > 1 else {}),
            },
            "registers": link.registers(config, self.board),
        }

    @property
    def stated(self) -> dict:
        """The entries of the manifest that follow from the design."""
        return {**self.identity, **options(self.config), "interval_cycles": round(self.interval),
                "network": self.network.name, "network_digest": self.network.digest,
                **({"meaning": self.network.metadata["meaning"]}
                   if "meaning" in self.network.metadata else {}),
                "device": self.board.device,
                "budget": asdict(self.board.budget), "calibration": self.calibration}

    @property
    def digest(self) -> str:
        """The digest of :attr:`identity`, by which a host knows the device.

        A device with another digest is another device, even if it runs the same network.
        """
        return identity_digest(self.identity)

    def verilog(self) -> str:
        """Module ``top``; see :func:`gen.build.link.verilog` for its ports."""
        return link.verilog(self.config, self.image, self.placement, digest=self.digest,
                            clock_hz=self.clock.hz, baud=self.baud,
                            holds=self.network.digest if self.config.reloadable else None)


def identity_digest(facts: dict) -> str:
    """SHA-256 of the canonical JSON of a design's identity (keys in order, no white space), 64
    hexadecimal digits. The host computes it in the same way
    (:func:`host.manifest.identity_digest`)."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def save(design: Design, directory: Path) -> None:
    """Write a design into a build's directory: :data:`FILES`, none of them code."""
    decided = {name: getattr(design, name) for name in Decisions.__dataclass_fields__}
    facts = {"format": _FORMAT, "board": design.board.name, **to_plain(Decisions(**decided))}
    memories = [Memory(name, memory.width, memory.rows)
                for name, memory in sorted(design.image.items())]
    if design.config.reloadable:
        memories.append(Memory(HOLDS, 256, (int(design.network.digest, 16),)))
    files.write_bytes(directory / IMAGE, pack(memories, digest=bytes.fromhex(design.digest)))
    artifact.save(design.network, directory / manifest.NETWORK)
    files.write_text(directory / NAME, json.dumps(facts, indent=1) + "\n")


def load(directory: str | Path) -> Design:
    """The design of a build, from its directory; nothing is planned.

    Raises
    ------
    BuildError
        If the directory is no build, a file is missing, changed or damaged, or the files are not of
        one design; one line that names the file, and for ``design.json`` the field.
    ArtifactError
        If the network in it can't be read.
    """
    built = manifest.read(directory)
    path = built.file(NAME)
    network = _network(built)
    image = _image(built, network)
    try:
        decided = _decisions(path, built)
        design = Design(**{name: getattr(decided, name) for name in Decisions.__dataclass_fields__},
                        network=network, board=built.board, image=image)
        _require_consistent(design, built)
    except Mismatch as error:
        raise BuildError(f"{path}: {error}; {manifest.AGAIN}") from error
    return design


def require_emitted(design: Design, directory: str | Path) -> str:
    """The Verilog in a build's directory. It must be what this version of Spikeloom makes of the
    build's design, so that a simulation of the design is one of the build.

    Raises
    ------
    BuildError
        If it is not.
    """
    path, emitted = Path(directory) / manifest.VERILOG, design.verilog()
    if files.read_text(path) != emitted:
        raise BuildError(f"{path}: is not what this version of Spikeloom makes of {NAME}; "
                         f"{manifest.AGAIN}")
    return emitted


def _decisions(path, built):
    with files.open_regular(path) as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise Mismatch(f"is no design: it is larger than {_MAX_BYTES >> 20} MiB")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Mismatch("is no design: it is not JSON") from error
    if not isinstance(facts, dict) or facts.pop("format", None) != _FORMAT:
        raise Mismatch(f"is no design of format {_FORMAT}, which this version reads")
    if facts.pop("board", None) != built.board.name:
        raise Mismatch(f"board is not that of {manifest.NAME}, {built.board.name!r}")
    return from_plain(Decisions, facts)


def _network(built):
    path = built.file(manifest.NETWORK)
    network = artifact.load(path)
    if network.digest != built.network_digest:
        raise BuildError(f"{path}: is another network than that of {manifest.NAME}; "
                         f"{manifest.AGAIN}")
    return network


def _image(built, network):
    """Contents of the memories."""
    path = built.file(IMAGE)
    try:
        digest, memories = unpack(path.read_bytes())
    except ImageError as error:
        raise BuildError(f"{path}: {error}; {manifest.AGAIN}") from error
    if digest.hex() != built.digest:
        raise BuildError(f"{path}: is of another design than {manifest.NAME}; {manifest.AGAIN}")
    image = {memory.name: MemoryImage(memory.width, memory.rows) for memory in memories}
    holds = image.pop(HOLDS, None)
    if holds is not None and holds != MemoryImage(256, (int(network.digest, 16),)):
        raise BuildError(f"{path}: holds another network than {manifest.NETWORK}; "
                         f"{manifest.AGAIN}")
    return image


def _require_consistent(design, built):
    """Each file may be sound and of another build."""
    _require_mapped(design)
    if design.digest != built.digest:
        raise Mismatch(f"config is of another array than {manifest.NAME} says")
    budget = design.board.budget
    if design.placement != resources.placement(design.config, design.board.family.name,
                                               budget.brams):
        raise Mismatch(f"placement is not what this version of Spikeloom chooses for "
                       f"{design.board.name}")
    if not 0 < design.interval < math.inf:
        raise Mismatch(f"interval must be a positive number of clocks, not {design.interval!r}")
    if not design.calibration.isprintable():
        raise Mismatch("calibration must be one line of text")
    for name, value in design.stated.items():
        if differs := _difference(value, built.facts.get(name), name):
            raise Mismatch(f"{differs} is not that of {manifest.NAME}")
    for name, value, said in (("clock", design.clock.hz, built.clock_hz),
                              ("baud", design.baud, built.link["baud"])):
        if value != said:
            raise Mismatch(f"{name} is not that of {manifest.NAME}, {said}")
    try:
        if design.baud is not None:
            divisor(design.clock.hz, design.baud)
    except ValueError as error:
        raise Mismatch(f"baud can't be: {error}") from error


def _require_mapped(design):
    """Array and memories are what the network is mapped to with its lanes and replicas."""
    config, network = design.config, design.network
    own, others = ([(layer.name, kind(layer)) for layer in layers]
                   for layers in (config.layers, network.layers))
    if own != others:
        raise Mismatch("config.layers must be the network's")
    try:
        mapped, image = map_network(network, **options(config))
        image |= selftest.image(network, mapped)
    except (FitError, NetworkError, ValueError) as error:
        raise Mismatch(f"config can't be: {error}") from error
    foreign = "is not what this version of Spikeloom makes of the network"
    if differs := _difference(to_plain(config), to_plain(mapped), "config"):
        raise Mismatch(f"{differs} {foreign}")
    for name in sorted(image.keys() | design.image.keys()):
        if image.get(name) != design.image.get(name):
            raise Mismatch(f"{name!r} in {IMAGE} {foreign}")


def _difference(value, other, where):
    """The first place where two plain values differ, in their types too; ``None`` if they don't."""
    items, others = _items(value), _items(other)
    if type(value) is not type(other) or items.keys() != others.keys():
        return where
    if not items:
        return None if value == other else where
    differences = (_difference(item, others[key], where + key) for key, item in items.items())
    return next(filter(None, differences), None)


def _items(value):
    """Parts of a plain value, by place."""
    if isinstance(value, dict):
        return {f".{name}": item for name, item in value.items()}
    return {f"[{k}]": item for k, item in enumerate(value)} if isinstance(value, list) else {}
