"""``python -m gen.verify.cosimulation PROGRAM DIRECTORY SEED``: :mod:`gen.verify.testbench` in a
simulator.

This is a child process of :mod:`gen.verify.rtl`, because cocotb's runner waits for the simulator
that it starts. So both can be ended together. The results of the tests are in the directory's
files.
"""

import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

__all__ = ["main"]


def main(program: str, directory: str, seed: str) -> None:
    """Run the testbench.

    Parameters
    ----------
    program : path of the simulator, named after its top module
    directory : with the plan, see :mod:`gen.verify.testbench`
    seed : of the random stalls
    """
    simulator, folder = Path(program), Path(directory)
    get_runner("verilator").test(
        test_module="gen.verify.testbench", hdl_toplevel=simulator.name,
        hdl_toplevel_lang="verilog", build_dir=simulator.parent, test_dir=folder, seed=int(seed),
        results_xml=str(folder / "results.xml"), extra_env={"SPIKELOOM_PLAN": directory})


if __name__ == "__main__":
    main(*sys.argv[1:])
