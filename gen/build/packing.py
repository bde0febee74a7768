"""Logic cells that a netlist fills beside those of its LUTs, by the rules of nextpnr's packers.

On iCE40 and Gowin a flip-flop takes its input from the LUT of its cell, so a flip-flop without its
own LUT fills a cell. A chain of carries begins and ends with cells that only pass a carry on. On
iCE40 a carry also fills a cell, unless a LUT has the same inputs or a small LUT drives it. A RAM of
a Gowin device fills all cells of its tile. On ECP5 flip-flops can bypass the LUTs. nextpnr does not
place 7-series devices.
"""

from collections import defaultdict

__all__ = ["beside_luts"]

_GOWIN_LUTS = [f"LUT{inputs}" for inputs in range(1, 5)]

_TILE, _RAM_LUTS = 8, 6
"""Cells of a Gowin tile, and how many LUTs :mod:`gen.build.synthesis` counts for a RAM."""


class _Netlist:
    """Cells of a module by type, each as its pins, and what drives and what reads a bit.

    Only the first bit of a pin is kept, because this module reads only pins of one bit.
    """

    def __init__(self, module):
        self.cells = defaultdict(list)
        self._drivers, self._readers = {}, defaultdict(list)
        for cell in module["cells"].values():
            kind = cell["type"]
            pins: dict[str, int | str | None] = {}
            self.cells[kind].append(pins)
            for port, bits in cell["connections"].items():
                pins[port] = bits[0] if bits else None
                for bit in bits:
                    if cell["port_directions"][port] == "input":
                        self._readers[bit].append((kind, port, pins))
                    else:
                        self._drivers[bit] = kind, port, pins
        for port in module["ports"].values():
            if port["direction"] != "input":
                for bit in port["bits"]:
                    self._readers[bit].append((None, "", {}))

    def flipflops(self, prefix):
        """Cells whose type begins with ``prefix``."""
        return [pins for kind, cells in self.cells.items() if kind.startswith(prefix)
                for pins in cells]

    def driver(self, bit):
        """Type, port and pins of what drives a bit."""
        return self._drivers.get(bit, (None, "", {}))

    def source(self, bit):
        """Type and port of what drives a bit."""
        return self.driver(bit)[:2]

    def readers(self, bit, kind=None, port=None):
        """Pins of the cells that read a bit; with a type and a port, only of cells of that type
        that read it by that port."""
        return [pins for *reader, pins in self._readers[bit]
                if kind is None or reader == [kind, port]]


def _alone(netlist, flipflops, sources, *, shared):
    """How many flip-flops have no place behind one of the sources. Each source has one place. If
    places are not ``shared``, nothing else may read the source's output."""
    inputs = {pins["D"] for pins in flipflops}
    places = sum(netlist.source(bit) in sources and (shared or len(netlist.readers(bit)) == 1)
                 for bit in inputs)
    return len(flipflops) - places


def _given(bit):
    """An input of a cell as nextpnr sees it: a constant low counts as unconnected."""
    return None if bit in ("0", "x") else bit


def _ice40(netlist):
    carries = netlist.cells["SB_CARRY"]
    luts = defaultdict(list)
    for lut in netlist.cells["SB_LUT4"]:
        luts[_given(lut["I1"]), _given(lut["I2"])].append(lut)
    beside = {}
    for carry in carries:
        alike = luts[_given(carry["I0"]), _given(carry["I1"])]
        found = next((lut for lut in alike if carry["CI"] in ("0", "1", lut["I3"])), None)
        if found:
            alike.remove(found)
            beside[id(carry)] = found
    taken = {id(lut) for lut in beside.values()}
    lone = [carry for carry in carries if id(carry) not in beside]
    return (_alone(netlist, netlist.flipflops("SB_DFF"), {("SB_LUT4", "O")}, shared=False)
            + sum(not _merged(netlist, carry, taken) for carry in lone)
            + sum(_passed_on(netlist, carry, beside) for carry in carries))


def _merged(netlist, carry, taken):
    """Whether a LUT of at most two inputs that drives a carry moves into the carry's cell."""
    for bit in (carry["I0"], carry["I1"]):
        kind, _, lut = netlist.driver(bit)
        if (kind == "SB_LUT4" and id(lut) not in taken
                and _given(lut["I0"]) is None and _given(lut["I1"]) is None):
            taken.add(id(lut))
            return True
    return False


def _passed_on(netlist, carry, beside):
    """Cells that bring a carry into a chain, or out of it to something other than the next cell."""
    first = netlist.source(carry["CI"])[0] not in ("SB_CARRY", None)
    readers = netlist.readers(carry["CO"])
    following = netlist.readers(carry["CO"], "SB_CARRY", "CI")
    sums = netlist.readers(carry["CO"], "SB_LUT4", "I3")
    if following:
        next_cell = 1 + any(lut is beside.get(id(following[0])) for lut in sums)
    else:
        next_cell = min(1, len(sums))
    return first + (len(readers) > next_cell)


def _ecp5(netlist):
    first = last = 0
    for carry in netlist.cells["CCU2C"]:
        first += netlist.source(carry["CIN"]) != ("CCU2C", "COUT")
        last += carry.get("COUT") is not None and not (
            len(netlist.readers(carry["COUT"])) == 1
            and netlist.readers(carry["COUT"], "CCU2C", "CIN"))
    return 2 * (first + last)


def _gowin(netlist):
    rams = sum(len(cells) for kind, cells in netlist.cells.items() if kind.startswith("RAM16S"))
    sources = {("ALU", "SUM"), *((lut, "F") for lut in _GOWIN_LUTS)}
    return ((_TILE - _RAM_LUTS) * rams
            + _alone(netlist, netlist.flipflops("DFF"), sources, shared=True)
            + sum(_around(netlist, alu) for alu in netlist.cells["ALU"]))


def _around(netlist, alu):
    """Cells that a chain has beside its adders, if this adder is its first: one before it, one that
    passes its carry on to something else, and one that makes their number even."""
    def alone(bit):
        return len(netlist.readers(bit)) == 1 and netlist.readers(bit, "ALU", "CIN")

    if netlist.source(alu["CIN"]) == ("ALU", "COUT") and alone(alu["CIN"]):
        return 0
    length = 1
    while following := alone(alu.get("COUT")):
        alu, length = following[0], length + 1
    around = 1 + bool(netlist.readers(alu.get("COUT")))
    return around + (length + around) % 2


def beside_luts(module: dict) -> int:
    """Number of logic cells that hold none of the LUTs of a netlist.

    Parameters
    ----------
    module : of the netlist, as Yosys' ``write_json`` describes modules
    """
    netlist = _Netlist(module)
    return _ice40(netlist) + _ecp5(netlist) + _gowin(netlist)
