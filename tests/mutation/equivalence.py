"""Whether a mutant differs at all from the array as it was emitted, by proof.

A redundant condition can be broken without effect, and no test can notice. Original and mutant get
the same inputs, any at any time, reset included, from the same initial state; ABC shows that they
never differ in what they send (a payload counts while it is valid, an address while it is read).
It is asked about the broken component alone, then about the core, where components restrict what
the others can be asked for; its lanes and its spike memories are left out if they are not broken.
"""

import json
import re
from fnmatch import fnmatch

from gen.system import processes
from tests.formal import prover

from .mutants import yosys

__all__ = ["equivalent"]

_MEANS = (("payload", "valid"), ("address", "en"))
"""What is only looked at while something else is set."""


def _scopes(module):
    """Name -> how Yosys cuts it out, from ``array.l0_fc1.select.corner_0`` and the like, the
    smallest scope first. What is in no core stands alone."""
    parts = module.split(".")
    alone = {".".join(parts[:size]): [f"hierarchy -top {'.'.join(parts[:size])}", "flatten"]
             for size in range(len(parts), min(2, len(parts) - 1), -1)}
    if len(parts) == 2:
        return alone
    core = ".".join(parts[:2])
    outside = [kind for kind in ("lanes", "spikes_*") if not fnmatch(parts[2], kind)]
    return alone | {
        core: [f"hierarchy -top {core}",
               "setattr -mod -set keep_hierarchy 1 " + " ".join(f"{core}.{x}" for x in outside),
               "flatten", f"expose -evert {core}/t:{core}.*"],
    }


def _condition(name, outputs):
    """The output that says whether another one is looked at."""
    for what, when in _MEANS:
        other = re.sub(rf"(__|_|\b){what}(\d*)$", rf"\1{when}\2", name)
        if other != name and other in outputs:
            return other
    return None


def _bench(ports):
    """Verilog of module ``bench``: ``gold`` and ``gate`` side by side."""
    lines, connections = ["module bench("], {"gold": [], "gate": []}
    inputs = {name: port for name, port in ports.items() if port["direction"] == "input"}
    outputs = {name: port for name, port in ports.items() if port["direction"] == "output"}
    wire = {name: f"p{k}" for k, name in enumerate(ports)}
    lines.append(", ".join(f"input [{len(port['bits']) - 1}:0] {wire[name]}"
                           for name, port in inputs.items()) + ");")
    for side, pairs in connections.items():
        pairs += [f".\\{name} ({wire[name]})" for name in inputs]
        for name, port in outputs.items():
            lines.append(f"wire [{len(port['bits']) - 1}:0] {wire[name]}_{side};")
            pairs.append(f".\\{name} ({wire[name]}_{side})")
        lines.append(f"{side} {side}_({', '.join(pairs)});")
    for name in outputs:
        when = _condition(name, outputs)
        unless = f"!{wire[when]}_gold || " if when else ""
        lines.append(f"always @* assert ({unless}{wire[name]}_gold == {wire[name]}_gate);")
    return "\n".join([*lines, "endmodule"]) + "\n"


def _proven(source, mutant, scope, cut, patience):
    with processes.scratch() as directory:
        (directory / "array.il").write_text(source, encoding="utf-8")
        for name, change in (("gold", []), ("gate", [mutant])):
            yosys(directory, ["read_rtlil array.il", *change, *cut, f"rename {scope} {name}",
                              f"select {name}", f"write_rtlil -selected {name}.il",
                              f"write_json -selected {name}.json"])
        ports = json.loads((directory / "gold.json").read_bytes())["modules"]["gold"]["ports"]
        (directory / "bench.v").write_text(_bench(ports), encoding="utf-8")
        # What is undefined (a row beyond the end of a memory) is the same in both, or it would be
        # a difference.
        yosys(directory, ["read_rtlil gold.il", "read_rtlil gate.il",
                          "read_verilog -formal bench.v", "prep -top bench -flatten",
                          "memory_nordff", "memory_map -formal", "setundef -init -zero",
                          "setundef -undriven -zero", "opt_clean", "write_rtlil bench.il"])
        return prover.run(directory, "read_rtlil bench.il",
                          f"mode prove\naigsmt none\ntimeout {patience}",
                          "abc scorr; pdr -d")


def equivalent(source, mutant, module, *, patience=120):
    """The scope in which a mutant is proven to make no difference, or ``None``.

    Parameters
    ----------
    source : RTLIL that the mutant was sampled from
    mutant : command of Yosys
    module : name of the module it breaks
    patience : seconds for each attempt
    """
    for scope, cut in _scopes(module).items():
        try:
            verdict = _proven(source, mutant, scope, cut, patience)
        except RuntimeError as error:
            # Yosys can't read a register that is tied to a constant and has another initial value.
            if "Conflicting init values" not in str(error):
                raise
            continue
        if verdict == "PASS":
            return scope
    return None
