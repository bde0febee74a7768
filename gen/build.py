"""From a network to a directory that holds all a board needs.

The steps are functions from data to data: a mapping, the design's Verilog, the project, the
resources by Yosys, the bitstream. The manifest is written last, so that a directory that has one is
complete.
"""

import hashlib
import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import boards
from boards import Board
from firmware.image import Memory, pack
from hw.config import ArrayConfig, MemoryImage
from hw.device import packing, register_map
from hw.top import Top
from hw.uart import divisor

from . import artifact, bitstream, project
from .errors import BuildError, FitError
from .fit import choose
from .fit import interval as predicted_interval
from .mapping import map_network
from .network import Network
from .synth import Resources, require_pure
from .synth import synthesise as run_yosys
from .verilog import component_verilog

__all__ = ["Design", "build", "design_for", "require_fit"]

log = logging.getLogger(__name__)

_KINDS = (("luts", "LUTs"), ("ffs", "flip-flops"), ("brams", "block RAMs"))


@dataclass(frozen=True)
class Design:
    """A network as a board runs it.

    Parameters
    ----------
    network, board : what and where
    config : shape of the array
    image : contents of its memories
    baud : speed of the serial link
    """

    network: Network
    board: Board
    config: ArrayConfig
    image: dict[str, MemoryImage]
    baud: int

    def __post_init__(self):
        try:
            divisor(self.board.clock_hz, self.baud)
        except ValueError as error:
            raise BuildError(str(error)) from error

    @property
    def digest(self) -> str:
        """What the device is known by, 64 hexadecimal digits: the network and the array's shape.

        A host that packs its input for another shape is a stranger even with the same network.
        """
        return hashlib.sha256(f"{self.network.digest} {self.config.digest()}".encode()).hexdigest()

    def verilog(self) -> str:
        """Module ``top``, with ports ``clk``, ``rst``, ``rx`` and ``tx``."""
        return component_verilog(Top(self.config, self.image, digest=self.digest,
                                     clock_hz=self.board.clock_hz, baud=self.baud), "top")


def design_for(network: Network, *, board: Board, lanes: dict[str, int] | None = None,
               interval: int | None = None, code: str = "phase",
               baud: int = 1_000_000) -> Design:
    """The design of a network for a board; see :func:`build` for the arguments."""
    chosen = choose(network, board.budget, code=code, interval=interval)
    config, image = map_network(network, lanes=chosen["lanes"] | (lanes or {}),
                                replicas=chosen["replicas"], code=code)
    return Design(network, board, config, image, baud)


def _advice(board, needed):
    larger = [other.name for other in boards.BOARDS
              if other is not board and _excess(other, needed) == []]
    also = f", or a larger board ({', '.join(larger)})" if larger else ""
    return f"fewer lanes (--lanes, --interval), weights of fewer bits{also} would help"


def _excess(board, needed):
    return [f"{need:,} {words} of {getattr(board.budget, kind):,}"
            for kind, words in _KINDS
            if (need := needed.get(kind, 0)) > getattr(board.budget, kind)]


def require_fit(name: str, board: Board, needed: dict[str, float]):
    """Compare needs with what the board has.

    Parameters
    ----------
    name : of the network
    needed : any of ``luts``, ``ffs``, ``brams`` -> number

    Raises
    ------
    FitError
        If there is less of anything; the message says of what, how much, and what would help.
    """
    excess = _excess(board, needed)
    if excess:
        raise FitError(f"{name} does not fit {board.name} ({board.device}): it needs "
                       f"{', '.join(excess)}; {_advice(board, needed)}")


def _require_memory(design):
    """Turns down what can't fit by its bits alone, before Yosys spends an hour on it."""
    budget = design.board.budget
    bits = sum(memory.width * len(memory.rows) for memory in design.image.values())
    if bits > budget.brams * budget.bram_bits + budget.luts * 64:
        require_fit(design.network.name, design.board,
                    {"brams": math.ceil(bits / budget.bram_bits)})


def _memory_file(design):
    return pack((Memory(name, memory.width, memory.rows)
                 for name, memory in sorted(design.image.items())),
                digest=bytes.fromhex(design.digest))


_FILES = {
    "verilog": "top.v", "board_verilog": "board.v", "constraints": "board.xdc",
    "vivado": "vivado.sh", "openxc7": "openxc7.sh", "image": "memory.img",
    "network": "network.npz",
}


def _manifest(design, resources, interval):
    config, board = design.config, design.board
    words, layout = packing(config), config.input
    return {
        "format": 1,
        "board": board.name,
        "device": board.device,
        "clock_hz": board.clock_hz,
        "clock_source": board.clock_source,
        "network": design.network.name,
        "network_digest": design.network.digest,
        "digest": design.digest,
        "link": {"kind": board.link, "baud": design.baud},
        "input": {
            "shape": list(design.network.input_shape),
            "map": [layout.channels, layout.height, layout.width],
            "levels": layout.levels, "pixel_max": design.network.pixel_max,
            "word": layout.word, "bits": layout.bits, "chunks": layout.chunks,
            "beats": layout.beats, "beat_bits": layout.beat_bits, "words": words.words,
        },
        "output": {"classes": config.readout.channels, "bits": config.readout.membrane_bits},
        "registers": register_map(config).as_dict(),
        "lanes": {core.name: core.lanes for core in config.cores},
        "replicas": {core.name: core.replicas for core in config.cores},
        "resources": resources and asdict(resources),
        "budget": asdict(board.budget),
        "interval_cycles": interval,
        "files": dict(_FILES),
    }


def _measure(design, out):
    """Resources of the design; it must be pure and fit."""
    board, name = design.board, design.network.name
    resources = run_yosys(out, list(project.SOURCES), top=project.TOP, command=board.synth)
    require_pure(resources, name)
    require_fit(name, board, asdict(resources))
    return resources


def build(network: Network, *, board: str, out: str | Path, lanes: dict[str, int] | None = None,
          interval: int | None = None, code: str = "phase", baud: int = 1_000_000,
          synthesise: bool = True) -> dict:
    """Build a network for a board.

    Parameters
    ----------
    network : what to build
    board : name of a board, see :data:`boards.BOARDS`
    out : directory; made if need be
    lanes : layer name -> lanes; layers not named get what :mod:`gen.fit` thinks right
    interval : clocks an image to aim for; more lanes and replicas reach fewer, up to the board's
        budget
    code : how counts are replayed as spikes, ``"phase"`` or ``"rate"``
    baud : speed of the serial link
    synthesise : run Yosys for resource figures, and make a bitstream if there is a toolchain

    Returns
    -------
    ``board``, ``device``, ``clock_hz``; ``luts``, ``ffs``, ``brams``, ``dsps``, ``latches`` (None
    without synthesis); ``budget``; paths ``verilog``, ``manifest`` and ``bitstream`` (or None);
    ``interval_cycles``, steady-state clocks an image.

    Raises
    ------
    FitError
        If the board has less than the network needs.
    BuildError
        If a tool fails, timing is not met, or synthesis finds a multiplier or a latch.
    boards.UnknownBoard
        If there is no such board.
    """
    design = design_for(network, board=boards.find(board), lanes=lanes, interval=interval,
                        code=code, baud=baud)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.json"
    manifest.unlink(missing_ok=True)
    _require_memory(design)
    log.info("%s for %s: Verilog ...", network.name, board)
    project.write(project.project_files(design.board, design.verilog()), out)
    (out / _FILES["image"]).write_bytes(_memory_file(design))
    artifact.save(network, out / _FILES["network"])
    resources = _measure(design, out) if synthesise else None
    bits = bitstream.make(design.board, out) if synthesise else None
    predicted = predicted_interval(network, design.config)
    manifest.write_text(json.dumps(_manifest(design, resources, predicted), indent=1) + "\n")
    figures = asdict(resources) if resources else dict.fromkeys(Resources.__dataclass_fields__)
    return {
        "network": network.name, "board": design.board.name, "device": design.board.device,
        "clock_hz": design.board.clock_hz, **figures, "budget": asdict(design.board.budget),
        "verilog": str(out / _FILES["verilog"]), "manifest": str(manifest),
        "bitstream": str(bits) if bits else None, "interval_cycles": predicted,
    }
