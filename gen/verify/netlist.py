"""A synthesised netlist as Verilog that simulates: Yosys' ``netlist.json``, cell by cell.

Nothing is optimised or interpreted: every cell becomes an instance of its vendor's model with the
same parameters, and every net a wire of one bit. The outputs of the array's layers (the nets called
``probe_*``, see :class:`hw.array.Array`) become ports beside the pins.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from gen.errors import SimulationError
from gen.system.files import read_text
from hw.layers import CoreConfig, PoolConfig

from .cells import models

__all__ = ["cell_count", "load", "netlist_verilog", "spied"]

_ARRAY = "top.device.array"


def load(path: Path, top: str) -> dict:
    """The top module of a netlist, as Yosys' ``write_json`` describes modules.

    Raises
    ------
    SimulationError
        If the file is missing, or is no netlist of that module.
    """
    try:
        return json.loads(read_text(path))["modules"][top]
    except OSError as error:
        raise SimulationError(f"{path}: {error.strerror}; synthesis leaves it there") from error
    except (ValueError, LookupError, TypeError) as error:
        raise SimulationError(f"{path}: not a netlist of {top!r} ({type(error).__name__}: "
                              f"{error})") from error


def cell_count(module: dict) -> int:
    """Cells of the vendor. The others are notes of Yosys."""
    return sum(not cell["type"].startswith("$") for cell in module["cells"].values())


def spied(module: dict, layers: Iterable[CoreConfig | PoolConfig]) -> list[tuple[list, list]]:
    """``(valid, payload)`` bits of the output of each layer of the array.

    Raises
    ------
    SimulationError
        If the netlist has no net of that name.
    """
    nets = module["netnames"]

    def bits(name, width):
        """Bits of a net that is whole, or that has been split into ``name[0]`` and so on."""
        if name in nets:
            return nets[name]["bits"]
        try:
            return [nets[f"{name}[{k}]"]["bits"][0] for k in range(width)]
        except KeyError:
            raise SimulationError(f"the netlist has no net {name!r}: it is of another network, or "
                                  f"older than this version; build it again") from None

    def member(layer, name, width):
        return bits(f"{_ARRAY}.probe_{layer.port}__{name}", width)

    return [(member(layer, "valid", 1), member(layer, "payload", layer.beat_bits))
            for layer in layers]


def _bit(bit):
    """A bit of Yosys' JSON: the number of a net, or a constant. An undefined bit is 0."""
    return f"n{bit}" if isinstance(bit, int) else "1'b1" if bit == "1" else "1'b0"


def _vector(bits):
    return _bit(bits[0]) if len(bits) == 1 else f"{{{', '.join(map(_bit, reversed(bits)))}}}"


def _parameter(value):
    """A parameter. Yosys appends a space to a string that could be mistaken for bits."""
    if re.fullmatch("[01xz]+", value):
        return f"{len(value)}'b{re.sub('[xz]', '0', value)}"
    return f'"{value[:-1] if re.fullmatch("[01xz]* +", value) else value}"'


class _Writer:
    def __init__(self):
        self.lines, self.wires, self._spare = [], set(), 0

    def output(self, bits):
        """Like :func:`_vector`, but a bit that goes nowhere gets its own wire."""
        named = []
        for bit in bits:
            if not isinstance(bit, int):
                self._spare += 1
                bit = -self._spare
                self.lines.append(f"wire {self._name(bit)};")
            else:
                self.wires.add(bit)
            named.append(self._name(bit))
        return f"{{{', '.join(reversed(named))}}}"

    @staticmethod
    def _name(bit):
        return f"n{bit}" if bit >= 0 else f"spare{-bit}"

    def cell(self, number, cell):
        pins = []
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                self.wires.update(bit for bit in bits if isinstance(bit, int))
                pins.append(f".{pin}({_vector(bits)})")
            else:
                pins.append(f".{pin}({self.output(bits)})")
        parameters = ", ".join(f".{name}({_parameter(value)})"
                               for name, value in cell["parameters"].items())
        self.lines.append(f"\\{cell['type']} #({parameters}) c{number} ({', '.join(pins)});")


def netlist_verilog(module: dict, family: str, *, pins: dict[str, str],
                    layers: Iterable[CoreConfig | PoolConfig] = ()) -> str:
    """Verilog of module ``bench``, with the models of its cells.

    Its ports are ``clk``, ``rx`` and ``tx``; ``moved``, a bit for each of ``layers``; and
    ``beats``, their outputs, the first layer in the lowest bits.

    Parameters
    ----------
    module : see :func:`load`
    family : of the cells, see :func:`gen.verify.cells.models`
    pins : port of the netlist -> ``tx``, or the expression of ``clk`` and ``rx`` that drives it
    layers : layers of the array to observe

    Raises
    ------
    SimulationError
        If a cell has no model, or a pin or a layer is missing.
    """
    cells = [cell for cell in module["cells"].values() if cell["type"] != "$scopeinfo"]
    writer = _Writer()
    for number, cell in enumerate(cells):
        writer.cell(number, cell)
    for port, role in pins.items():
        bits = module["ports"][port]["bits"]
        writer.wires.update(bits)
        writer.lines.append(f"assign tx = {_bit(bits[0])};" if role == "tx"
                            else f"assign {_bit(bits[0])} = {role};")
    moved, beats = [], []
    for valid, payload in spied(module, layers):
        moved += valid
        beats += payload
    moved, beats = moved or ["0"], beats or ["0"]
    text = [
        "module bench(input clk, input rx, output tx,",
        f"    output [{len(moved) - 1}:0] moved, output [{len(beats) - 1}:0] beats);",
        *(f"wire n{bit};" for bit in sorted(writer.wires)),
        *writer.lines,
        f"assign moved = {_vector(moved)};",
        f"assign beats = {_vector(beats)};",
        "endmodule",
    ]
    return "\n".join(text) + "\n" + models(family, {cell["type"] for cell in cells})
