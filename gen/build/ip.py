"""A network as an IP core for somebody else's design: Verilog with AXI4-Stream ports, a testbench,
and a ``.core`` file with which FuseSoC lints and simulates it.

Nothing in it belongs to a board. The board that a design was planned for only decides how many
lanes there are, and which memories are block RAM.
"""

import json
import re
from pathlib import Path

import numpy as np

from gen.errors import FitError
from gen.system import files
from hw.axi import AxiStream

from .design import Design
from .selftest import words
from .verilog import component_verilog

__all__ = ["module_name", "write"]

_TESTBENCH, _VECTORS = "ip_tb.sv", "ip_vectors.svh"
_SAMPLES, _ANSWERS, _FACTS = "ip_samples.mem", "ip_answers.mem", "ip.json"

# What Amaranth and Yosys write on purpose: expressions that are extended or cut to the width of
# their target, cases without a default after an assignment of the default, comparisons with a
# constant bound, addresses without bits, registers with an initial value, and names for the fields
# of a signal, used or not.
_INTENDED = ("ASCRANGE", "CASEINCOMPLETE", "CMPCONST", "DECLFILENAME", "PROCASSINIT", "UNSIGNED",
             "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC")

_FLOWS = {
    "lint": {"filesets": ["rtl"], "flow": "lint",
             "flow_options": {"tool": "verilator", "verilator_options": ["-Wall"]}},
    "sim": {"filesets": ["rtl", "tb"], "flow": "sim", "toplevel": "tb",
            "flow_options": {"tool": "verilator", "mode": "binary",
                             "verilator_options": ["--timing"]}},
}
"""Targets of the ``.core`` file, beside the default."""


def module_name(design: Design) -> str:
    """The name of the Verilog module, which says which network it is."""
    return "spikeloom_" + re.sub(r"\W", "_", design.network.name, flags=re.ASCII)


def write(design: Design, out: str | Path, images: np.ndarray) -> dict:
    """Write a design as an IP core.

    Parameters
    ----------
    design : what is to run
    out : directory; it is made if it does not exist
    images : raw images, in a shape that :meth:`Network.shaped` takes, for the testbench

    Returns
    -------
    ``network``, ``module``, ``sample_words`` (words of a sample), ``answer_words`` (of a result),
    ``images`` (in the testbench), and paths ``verilog`` and ``core``.

    Raises
    ------
    FitError
        If memories may be loaded, which needs another link.
    NetworkError
        If the images are not of the network's shape, type or range.
    OutputError
        If the directory can't be written, before anything is done.
    """
    out, name = Path(out), module_name(design)
    if design.config.reloadable:
        raise FitError(f"{design.network.name}: memories are loaded over a link, which an "
                       f"IP core does not have; leave --reloadable out")
    files.require_directory(out, (f"{name}.v", f"{name}.core", _TESTBENCH, _VECTORS, _SAMPLES,
                                  _ANSWERS, _FACTS))
    samples, answers = words(design.network, design.config, design.network.shaped(images))
    texts = {
        f"{name}.v": _verilog(design, name),
        f"{name}.core": _core(name, design.network.name),
        _TESTBENCH: files.read_text(Path(__file__).with_name(_TESTBENCH)),
        _VECTORS: _vectors(design, name, samples, answers),
        _SAMPLES: _hex(samples), _ANSWERS: _hex(answers),
        _FACTS: json.dumps({"module": name, **design.stated, "digest": design.digest}, indent=1)
        + "\n",
    }
    for file, text in texts.items():
        files.write_text(out / file, text)
    return {"network": design.network.name, "module": name, "sample_words": len(samples[0]),
            "answer_words": len(answers[0]) + 1, "images": len(images),
            "verilog": str(out / f"{name}.v"), "core": str(out / f"{name}.core")}


def _verilog(design, name):
    """The module, without lint for what a generator writes on purpose."""
    text = component_verilog(
        AxiStream(design.config, design.image, digest=design.digest, clock_hz=design.clock.hz),
        name, design.placement)
    off, on = ("".join(f"/* verilator lint_{way} {warning} */\n" for warning in _INTENDED)
               for way in ("off", "on"))
    return off + text + on


def _core(name, network):
    """The description of the core. JSON is YAML, too."""
    facts = {
        "name": f"spikeloom:network:{name}:0",
        "description": f"{network}, a spiking network with AXI4-Stream ports",
        "filesets": {
            "rtl": {"files": [f"{name}.v"], "file_type": "verilogSource"},
            "tb": {"files": [_TESTBENCH, {_VECTORS: {"is_include_file": True}},
                             *({file: {"file_type": "user", "copyto": file}}
                               for file in (_SAMPLES, _ANSWERS))],
                   "file_type": "systemVerilogSource"},
        },
        "targets": {"default": {"filesets": ["rtl"], "toplevel": name},
                    **{target: {"toplevel": name} | flow for target, flow in _FLOWS.items()}},
    }
    return f"CAPI=2:\n{json.dumps(facts, indent=2)}\n"


def _vectors(design, name, samples, answers):
    """What the testbench has to know of the module."""
    config = design.config
    clocks = round(20 * len(config.layers) * design.interval) + 10_000
    defined = {"DUT": name, "SAMPLES": len(samples), "SAMPLE_WORDS": len(samples[0]),
               "ANSWER_WORDS": len(answers[0]), "PATIENCE": clocks,
               **({"TIMESTEPS": config.timesteps} if config.timesteps > 1 else {}),
               **({"SELFTEST": 1} if config.selftests else {})}
    return "".join(f"`define {key} {value}\n" for key, value in defined.items())


def _hex(packets):
    """A word a line."""
    return "".join(f"{word:08x}\n" for packet in packets for word in packet)
