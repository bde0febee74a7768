"""Verilog of a component, the same bytes for the same input."""

import os

from amaranth.back import verilog

from hw.array import Array

__all__ = ["array_verilog", "component_verilog"]


def component_verilog(component, name):
    """Verilog of an Amaranth component as module ``name``.

    Amaranth's own Yosys does the printing, so that the text does not depend on the machine.
    """
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    return verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)


def array_verilog(config, image):
    """Verilog of the array of a configuration, module ``array``."""
    return component_verilog(Array(config, image), "array")
