"""What nextpnr says of a design."""


def filled(family, used):
    """Logic cells that a placed design fills, by nextpnr's report of what it uses.

    On Gowin its LUTs are those that lead to flip-flops, too, and four of the RAM's; an adder keeps
    a LUT from being used, and a RAM the other four of its tile.
    """
    if family == "Gowin":
        return used["LUT4"]["used"] + used["ALU"]["used"] + 4 * used["RAM16SDP4"]["used"]
    return used[{"iCE40": "ICESTORM_LC", "ECP5": "TRELLIS_COMB"}[family]]["used"]
