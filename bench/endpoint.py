"""What the endpoint takes of a device, and how fast a clock an ECP5 closes it at.

On an ECP5 the endpoint is logic like any other: the block that makes packets of a lane's symbols is
not there. Its ports are registers, in a chain through two pins, so that no pin's delay counts.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.families import ECP5, XC7
from gen.build.flows import FLOWS
from gen.build.synthesis import NETLIST, synthesise
from gen.build.toolchain import environment
from gen.build.verilog import component_verilog
from gen.errors import BuildError
from gen.system import processes
from hw.pcie.endpoint import Endpoint
from hw.registers import RegisterMap

from . import keys
from .benchmark import Benchmark

ASKED = 125_000_000

_FAMILIES = {"7-series": XC7, "ECP5": ECP5}

_WORDS, _CLASSES = 196, 10
"""Words of a sample of MNIST in bytes, and its logits."""


class _Chain(wiring.Component):
    """A component between two chains of registers."""

    i: In(1)
    o: Out(1)

    def __init__(self, dut):
        self._dut = dut
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._dut
        ports = {In: [], Out: []}
        for _, member, value in dut.signature.flatten(dut):
            ports[member.flow].append(Value.cast(value))
        given, taken = Cat(ports[In]), Cat(ports[Out])
        shifted, held = Signal(len(given)), Signal(len(given))
        caught, left, count = Signal(len(taken)), Signal(len(taken)), Signal(8)
        m.d.comb += given.eq(held)
        m.d.sync += [
            shifted.eq(Cat(self.i, shifted)), held.eq(shifted), caught.eq(taken),
            count.eq(count + 1), left.eq(Mux(count == 0, caught, left >> 1)), self.o.eq(left[0])]
        return m


def measure(case):
    """``luts``, ``ffs``, ``brams``, ``latches``, and for an ECP5 ``fmax_hz``."""
    family = _FAMILIES[case["family"]]
    endpoint = component_verilog(Endpoint(RegisterMap(_WORDS, _CLASSES)), "endpoint")
    with processes.scratch() as out:
        (out / "endpoint.v").write_text(endpoint, encoding="utf-8")
        found = synthesise(out, ["endpoint.v"], top="endpoint", command=family.synth)
    figures = {name: getattr(found, name) for name in ("luts", "ffs", "brams", "latches")}
    return figures | ({"fmax_hz": _route(case)} if "seed" in case else {"fmax_hz": None})


def _route(case):
    chain = component_verilog(_Chain(Endpoint(RegisterMap(_WORDS, _CLASSES))), "chain")
    with processes.scratch() as out, processes.group() as start:
        (out / "chain.v").write_text(chain, encoding="utf-8")
        synthesise(out, ["chain.v"], top="chain", command=ECP5.synth)
        env = environment("trellis")
        routing = start([env["NEXTPNR_ECP5"], "--85k", "--package", "CABGA381", "--speed",
                         str(case["grade"]), "--json", NETLIST, "--freq", f"{ASKED / 1e6:g}",
                         "--lpf-allow-unconstrained", "--textcfg", "chain.config", "--report",
                         "nextpnr.json", "--seed", str(case["seed"]), "-q"], cwd=out,
                        stderr=processes.PIPE, encoding="utf-8")
        # It fails where it misses its goal, and leaves a report all the same.
        _, said = routing.communicate()
        report = out / "nextpnr.json"
        if not report.exists():
            raise BuildError(f"nextpnr left no report: {said.strip()[-200:]}")
        timing = FLOWS["trellis"].timing(report.read_text(encoding="utf-8"), ASKED)
    return timing.fmax_hz


CASES = [{"family": "7-series"}, {"family": "ECP5", "grade": 8, "seed": 1},
         {"family": "ECP5", "grade": 6, "seed": 1}]

BENCHMARK = Benchmark("endpoint", CASES, measure, keys.BUILD,
                      lambda case: ("yosys", *(["nextpnr-ecp5"] if "seed" in case else [])))
