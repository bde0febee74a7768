"""Verification below the Verilog: netlist and bitstream against :meth:`Network.run`.

A board is simulated from pin to pin, from the state that it has after configuration. The host's
driver sends images to its ``rx`` and decodes what comes out of ``tx``. In a netlist the output of
every layer is compared as well.
"""

import logging
import re
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import boards
from gen.build import manifest
from gen.build.builder import build_for
from gen.build.design import Design
from gen.build.design import load as load_design
from gen.build.project import SOURCES, TOP
from gen.build.synthesis import NETLIST, synthesise
from gen.errors import SimulationError
from gen.ir.interleaved import apart
from gen.ir.network import Network
from gen.system.files import require_output
from gen.system.progress import bar
from host import manifest as host_manifest
from host.errors import HostError
from hw.layers import CoreConfig, PoolConfig
from hw.uart import divisor

from .cells import models
from .icestorm import bitstream_verilog, require_icestorm
from .netlist import cell_count, load, netlist_verilog
from .pins import HARNESS, infer
from .records import keep, place
from .streams import layer_streams, quiet_streams
from .verilator import patience, verilate

__all__ = [
    "bitstream_simulator",
    "compare_bitstream",
    "compare_netlist",
    "make_bitstream",
    "make_netlist",
    "netlist_simulator",
    "roles",
    "verify_bitstream",
    "verify_netlist",
]

log = logging.getLogger(__name__)

# The Verilog is generated, from models that are not ours.
_OPTIONS = ("-Wno-lint", "-Wno-fatal")

_HOST = "host"


def roles(board: boards.Board, ports: Iterable[str]) -> dict[str, str]:
    """What the harness connects the ports of a board's top module to.

    The second half of a differential clock is the complement of the first. A reset button stays
    released.

    Parameters
    ----------
    ports : names, as Amaranth makes them of resources

    Returns
    -------
    Port -> ``"tx"``, or an expression of ``clk`` and ``rx`` that drives it. Other outputs are left
    out.
    """
    platform = board.platform()
    known = {"uart_0__rx__io": "rx", "uart_0__tx__io": "tx"}
    clock = f"{platform.default_clk}_0__"
    known |= {f"{clock}io": "clk", f"{clock}p": "clk", f"{clock}n": "~clk"}
    if platform.default_rst is not None:
        inverted = platform.lookup(platform.default_rst).ios[0].invert
        known[f"{platform.default_rst}_0__io"] = "1'b1" if inverted else "1'b0"
    return {port: known[port] for port in ports if port in known}


def _family(board):
    """Whose cells the netlists of a board are made of, see :data:`gen.verify.cells.FAMILIES`."""
    return re.findall(r"synth_(\w+)", board.synth)[0]


def netlist_simulator(module: dict, board: boards.Board, layers: Iterable[CoreConfig | PoolConfig]
                      ) -> Path:
    """Compile a netlist (see :func:`gen.verify.netlist.load`), once for each content.

    Parameters
    ----------
    layers : layers of the array to observe
    """
    text = netlist_verilog(module, _family(board), layers=layers,
                           pins=roles(board, module["ports"]))
    return verilate(text, "bench", HARNESS, headers={"bench.vlt": _SPLIT},
                    options=(*_OPTIONS, "bench.vlt"), optimise="-O1", progress=log.info)


# Seen bit by bit, a carry chain of four bits is no loop.
_SPLIT = """`verilator_config
split_var -module "CARRY4" -var "CO"
"""


def compare_netlist(design: Design, directory: str | Path, images: np.ndarray) -> dict:
    """Compare the netlist that synthesis left in a build's directory with :meth:`Network.run`.

    Parameters
    ----------
    directory : with ``netlist.json`` and ``manifest.json``
    images : raw, ``(N, C, H, W)``

    Returns
    -------
    ``images``; ``spikes``, the number of values compared: the count of each neuron, or its spikes
    of all time-steps together, and each logit, for each image, and what the host got: the logits
    again, and for each layer that comes to rest whether it was quiet; ``mismatches``, how many of
    them differ or did not come; ``first_mismatch``, ``None`` or the first one of the first layer
    that has any, as layer, sample, channel (of layers that come to rest, their place among these),
    y, x, expected and got; ``layers``, these figures by layer, the host last; ``clocks``;
    ``clocks_per_second`` of the simulation; and ``cells`` of the netlist.

    Raises
    ------
    SimulationError
        If the netlist can't be simulated, does not answer, or its array hangs.
    """
    if design.baud is None:
        raise SimulationError(f"{directory}: a netlist is driven at its serial port, and this "
                              f"build has none; verify that of a build without --link pcie")
    network, config, samples = design.seen(images)
    module = load(Path(directory) / NETLIST, TOP)
    simulator = netlist_simulator(module, design.board, config.layers)
    result, words, figures = _drive(simulator, config, directory, design.whole(images))
    trace = network.run(network.encode(samples))
    # A device that tests itself computes samples of its own first.
    first = [design.config.selftests * layer.beats for layer in design.config.layers]
    layers = [_compare(stream, stream.expected(trace), moved[own:]) for stream, moved, own in zip(
        layer_streams(config), _probed(config, words), first, strict=True)]
    layers += _answers(design.config, trace, result)
    return _summary(layers, images, figures) | {"cells": cell_count(module)}


def _answers(config, trace, result):
    """Figures of what the host got: logits, and which layers were quiet."""
    logits = apart(trace.logits, config.interleaved, len(result.logits))
    yield _figures(_HOST, logits, result.logits)
    for stream in quiet_streams(config):
        expected = stream.expected(trace)
        yield _figures(f"{_HOST}: {stream.name}", expected, result.quiet.reshape(expected.shape))


def _drive(simulator, config, directory, images):
    facts = _facts(directory)
    began = time.perf_counter()
    result, clocks, words = infer(
        simulator, facts, images, divisor=divisor(facts.clock_hz, facts.baud),
        patience=patience(config), progress=partial(bar, unit="image", desc="verify"))
    seconds = time.perf_counter() - began
    return result, words, {"clocks": clocks, "clocks_per_second": round(clocks / seconds)}


def _facts(directory):
    """The manifest, as the host reads it."""
    try:
        return host_manifest.load(directory)
    except HostError as error:
        raise SimulationError(str(error)) from error


def _probed(config, words):
    """The words of the beats that moved, of each layer."""
    widths = [layer.beat_bits for layer in config.layers]
    flags = -(-len(widths) // 32)
    words = words.reshape(-1, flags + -(-sum(widths) // 32))
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    first = 32 * flags
    for index, width in enumerate(widths):
        moved = bits[bits[:, index] == 1, first:first + width]
        first += width
        yield np.packbits(np.pad(moved, ((0, 0), (0, -width % 32))), axis=1,
                          bitorder="little").view("<u4")


def _compare(stream, expected, got):
    """Figures of a layer; ``got`` are the beats that moved. One that did not come is wrong."""
    words = stream.pack(expected)
    due = words.reshape(-1, words.shape[-1])
    all_due = np.concatenate([got[:len(due)], ~due[len(got):]]).reshape(words.shape)
    figures = _figures(stream.name, expected, stream.unpack(all_due))
    surplus = max(0, len(got) - len(due))
    return figures | {"mismatches": figures["mismatches"] + surplus}


def _figures(name, expected, got):
    wrong = np.argwhere(got != expected)
    first = None
    if len(wrong):
        where = tuple(wrong[0].tolist())
        sample, channel, y, x = (*where, 0, 0)[:4]
        first = {"layer": name, "sample": sample, "channel": channel, "y": y, "x": x,
                 "expected": int(expected[where]), "got": int(got[where])}
    return {"layer": name, "spikes": expected.size, "mismatches": len(wrong), "first": first}


def _summary(layers, images, clocks):
    return {
        "images": len(images),
        "spikes": sum(layer["spikes"] for layer in layers),
        "mismatches": sum(layer["mismatches"] for layer in layers),
        "first_mismatch": next((layer["first"] for layer in layers if layer["first"]), None),
        "layers": [{key: layer[key] for key in ("layer", "spikes", "mismatches")}
                   for layer in layers],
        **clocks,
    }


def bitstream_simulator(directory: str | Path, board: boards.Board) -> Path:
    """Compile the logic that the bitstream in a build's directory configures, once for each
    content.

    Raises
    ------
    SimulationError
        If the tools that read bitstreams are missing, or can't read those of this board's device.
    """
    chip, ports = bitstream_verilog(Path(directory) / f"{TOP}.bin", Path(directory) / f"{TOP}.pcf",
                                    _package(board))
    pins = roles(board, ports)
    text = "\n".join([
        "module bench(input clk, input rx, output tx, output moved, output beats);",
        f"chip chip({', '.join(f'.{port}({role})' for port, role in pins.items())});",
        "assign moved = 1'b0, beats = 1'b0;",
        "endmodule",
    ]) + "\n"
    used = set(re.findall(r"^(SB_\w+)", chip, re.MULTILINE))
    return verilate(text + chip + models("ice40", used), "bench", HARNESS,
                    options=_OPTIONS, optimise="-O1", progress=log.info)


def _package(board):
    """The package of an iCE40, whose bitstream can be read back."""
    package = re.search(r"--package (\S+)", board.open_device)
    if _family(board) != "ice40" or package is None:
        raise SimulationError(f"{board.name}: only the bitstream of an iCE40 can be read back to a "
                              f"netlist with its memories (docs/verification.md)")
    return package[1]


def compare_bitstream(design: Design, directory: str | Path, images: np.ndarray) -> dict:
    """Compare the logits of a configured device with :meth:`Network.run`.

    Takes, returns and raises what :func:`compare_netlist` does, with three differences:
    ``directory`` has the bitstream and its constraints, ``layers`` is only what the host got, and
    there are no ``cells``.
    """
    network, config, samples = design.seen(images)
    simulator = bitstream_simulator(directory, design.board)
    result, _, figures = _drive(simulator, config, directory, design.whole(images))
    trace = network.run(network.encode(samples))
    return _summary(list(_answers(design.config, trace, result)), images, figures)


def verify_netlist(directory: str | Path, images: np.ndarray) -> dict:
    """Compare the netlist in a build's directory with :meth:`Network.run`.

    The result stays with the build, for its report (:mod:`gen.verify.records`).

    Parameters
    ----------
    directory : of the build
    images : raw, see :func:`gen.verify.rtl.choose_images`

    Returns
    -------
    As :func:`compare_netlist`.

    Raises
    ------
    BuildError
        If the directory is no build or has no netlist, or a file of it has changed.
    SimulationError
        See :func:`compare_netlist`.
    """
    return _verify("netlist", NETLIST, compare_netlist, directory, images)


def verify_bitstream(directory: str | Path, images: np.ndarray) -> dict:
    """Compare the bitstream in a build's directory with :meth:`Network.run`; see
    :func:`verify_netlist`."""
    _package(manifest.read(directory).board)
    return _verify("bitstream", f"{TOP}.bin", compare_bitstream, directory, images)


def _verify(kind, file, compare, directory, images):
    built = manifest.read(directory)
    path = built.file(file)
    require_output(place(directory, kind))
    result = compare(load_design(directory), directory, images)
    keep(kind, path, result)
    return result


def make_netlist(network: Network, *, board: str, **mapping: Any) -> Path:
    """Build a network as far as its netlist, whether it fits or not; return the build's directory.

    Takes the arguments of :func:`gen.build.builder.build_for`, except ``purpose``.
    """
    directory = build_for("netlist", network, board=board, synthesise=False, **mapping)
    synthesise(directory, list(SOURCES), top=TOP, command=boards.find(board).synth)
    manifest.add(directory, NETLIST)
    return directory


def make_bitstream(network: Network, *, board: str, **mapping: Any) -> Path:
    """Build a network with a bitstream that can be verified; return the build's directory.

    Takes the arguments of :func:`gen.build.builder.build_for`, except ``purpose``.

    Raises
    ------
    SimulationError
        If the board's bitstreams can't be read, or a tool that reads them is missing; this is
        checked before anything is built. If there is no tool that makes a bitstream.
    """
    _package(boards.find(board))
    require_icestorm()
    directory = build_for("bitstream", network, board=board, **mapping)
    if manifest.read(directory).bitstream is None:
        raise SimulationError(f"{board}: no bitstream was built, because tools are missing")
    return directory
