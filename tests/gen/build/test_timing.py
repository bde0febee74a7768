"""Timing reports of the tools, read."""

import json

import pytest

from gen.build.timing import Timing, nextpnr_log, nextpnr_report, vivado_report
from gen.errors import BuildError

VIVADO = """
| Design Timing Summary
    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)
    -------      -------  ---------------------  -------------------      -------
     {slack}        0.000                      0                 6127        0.052

{verdict}

Slack (VIOLATED) :        -0.731ns  (required time - arrival time)
  Source:                 top/a_reg[0]/C
  Destination:            top/b_reg[1]/D
  Data Path Delay:        10.512ns  (logic 3.1ns (29.5%)  route 7.4ns (70.5%))
"""
MET = "All user specified timing constraints are met."


def test_vivado():
    timing = vivado_report(VIVADO.format(slack="-2.500", verdict="not met"), 100_000_000)
    assert timing.fmax_hz == 80e6
    assert timing.critical_path == [{"kind": "path", "delay_ns": 10.512, "from": "top/a_reg[0]/C",
                                     "to": "top/b_reg[1]/D"}]
    assert vivado_report(VIVADO.format(slack="2.000", verdict=MET), 100_000_000).fmax_hz == 125e6


def test_vivado_refused():
    with pytest.raises(BuildError, match=r"^by Vivado's report the clock is met, but not every"):
        vivado_report(VIVADO.format(slack="0.100", verdict="not met"), 100_000_000)
    with pytest.raises(BuildError, match=r"no summary \(see board_timing\.rpt\)$"):
        vivado_report("", 100_000_000)


def test_log():
    line = "Info: Max frequency for clock '{}': {} MHz (PASS at 1.00 MHz)\n".format
    text = line("a", "10.0") + line("b", "33.5") + line("a", "91.20")
    assert nextpnr_log(text, 1) == Timing(33.5e6)
    with pytest.raises(BuildError, match=r"^nextpnr-xilinx reported no clock"):
        nextpnr_log("", 1)


def hop(kind, delay, source, sink, **more):
    return {"type": kind, "delay": delay, **more, "from": {"cell": source, "port": "O", "loc": [0]},
            "to": {"cell": sink, "port": "I", "loc": [1]}}


def test_report():
    slow = [hop("clk-to-q", 0.5, "a", "a"), hop("routing", 1.25004, "a", "b", net="n")]
    report = {
        "fmax": {"clk": {"achieved": 50.0, "constraint": 48.0},
                 "other": {"achieved": 70.0, "constraint": 1.0}},
        "utilization": {"LC": {"used": 1, "available": 2}},
        "critical_paths": [
            {"from": "posedge other", "to": "posedge other", "path": [hop("logic", 9, "x", "y")]},
            {"from": "posedge clk", "to": "posedge clk", "path": slow},
            {"from": "<async>", "to": "posedge clk", "path": [hop("logic", 99, "x", "y")]},
        ]}
    assert nextpnr_report(json.dumps(report), 1) == Timing(50e6, [
        {"kind": "clk-to-q", "delay_ns": 0.5, "from": "a.O", "to": "a.I"},
        {"kind": "routing", "delay_ns": 1.25, "net": "n", "from": "a.O", "to": "b.I"},
    ], {"LC": {"used": 1, "available": 2}})
    with pytest.raises(BuildError, match=r"^nextpnr reported no clock \(see nextpnr\.log\)$"):
        nextpnr_report(json.dumps(report | {"fmax": {}}), 1)
