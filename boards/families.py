"""Device families: their tools, and the limits of their PLLs by the data sheets."""

from .board import Family, Pll

__all__ = [
           "ECP5",
           "EHXPLLL",
           "GOWIN",
           "ICE40",
           "PLLE2",
           "RPLL_GW1NR_9C",
           "RPLL_GW2A_18C",
           "SB_PLL40_CORE",
           "SB_PLL40_PAD",
           "XC7",
]

XC7 = Family("7-series", "synth_xilinx -family xc7 -flatten", ("vivado", "openxc7"))

# ABC9 of Yosys 0.70 fails an assertion (in rtlil.cc, on reintegration) with some networks, unless
# wires are single bits before it.
#
# The array never uses a word that is read in the clock it is written in, which
# tests/gen/build/test_collisions.py shows. -no-rw-check therefore keeps Yosys from adding logic
# that returns the old word: on ECP5 a LUT behind each bit of a block RAM that answers late, on
# iCE40 a seventh of the logic cells.
#
# DCCA stops and starts a clock without a glitch (FPGA-TN-02200).
ECP5 = Family("ECP5", "synth_ecp5 -no-rw-check -run begin:map_luts\nsplitnets\n"
              "synth_ecp5 -run map_luts:", ("trellis",), clock_gate="DCCA")

# With -dsp a multiplier would show. Block RAM can't be read until some microseconds after
# configuration (Project IceStorm's notes; Amaranth waits 15 as well).
ICE40 = Family("iCE40", "synth_ice40 -dsp -no-rw-check", ("icestorm",), cell="logic cell",
               reset_us=15)

# Yosys has three kinds of block RAM. Only the one with a read port and a write port is used,
# because the timing of the others can't be relied upon: nextpnr 0.11 misses the address of their
# second port, or counts an address four times (https://github.com/YosysHQ/nextpnr/issues/1803).
_GOWIN_BRAMS = """\
write_file gowin_brams.txt <<EOT
ram block $__GOWIN_SDP_ {
    abits 14;
    widths 1 2 4 9 18 36 per_port;
    cost 128;
    byte 9;
    init no_undef;
    port sr "R" {
        clock posedge;
        clken;
        option "RESET_MODE" "SYNC" { rdsrst zero ungated; }
        option "RESET_MODE" "ASYNC" { rdarst zero; }
        rdinit zero;
    }
    port sw "W" {
        clock posedge;
        clken;
        wrbe_separate;
    }
}
EOT
"""

GOWIN = Family(
    "Gowin",
    "synth_gowin -run begin:map_ram\n" + _GOWIN_BRAMS +
    "memory_libmap -lib +/gowin/lutrams.txt -lib gowin_brams.txt\n"
    "techmap -map +/gowin/lutrams_map.v -map +/gowin/brams_map.v\n"
    "synth_gowin -run map_ffram:", ("apicula",))

# DS181, table "PLL Specification", speed grade -1, which the faster grades include.
PLLE2 = Pll("PLLE2_BASE", input=(19_000_000, 800_000_000), compare=(19_000_000, 450_000_000),
            vco=(800_000_000, 1_600_000_000), output=(6_250_000, 800_000_000))

# FPGA-DS-02012, table "sysCLOCK PLL Timing".
EHXPLLL = Pll("EHXPLLL", input=(8_000_000, 400_000_000), compare=(10_000_000, 400_000_000),
              vco=(400_000_000, 800_000_000), output=(3_125_000, 400_000_000))

# FPGA-DS-02029 and FPGA-DS-02008, table "sysCLOCK PLL Timing". One kind of PLL takes its
# reference from the fabric, the other from the pin beside it.
_SB_PLL40 = {
    "input": (10_000_000, 133_000_000), "compare": (10_000_000, 133_000_000),
    "vco": (533_000_000, 1_066_000_000), "output": (16_000_000, 275_000_000),
}
SB_PLL40_CORE = Pll("SB_PLL40_CORE", **_SB_PLL40)
SB_PLL40_PAD = Pll("SB_PLL40_PAD", **_SB_PLL40)

# DS117, grade C6/I5, and DS226, grade C8/I7, tables "PLL Switching Characteristics".
RPLL_GW1NR_9C = Pll("rPLL", input=(3_000_000, 400_000_000), compare=(3_000_000, 400_000_000),
                    vco=(400_000_000, 1_200_000_000), output=(3_125_000, 600_000_000),
                    options=(("DEVICE", "GW1NR-9C"),))
RPLL_GW2A_18C = Pll("rPLL", input=(3_000_000, 500_000_000), compare=(3_000_000, 500_000_000),
                    vco=(500_000_000, 1_250_000_000), output=(3_906_250, 625_000_000),
                    options=(("DEVICE", "GW2A-18C"),))
