"""What all tests share: one thread for torch, because the tests themselves run side by side; and
logging as it is before a command configures it, because tests run several in one process."""

import logging
import os
import re

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def _reset():
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)


@pytest.fixture(autouse=True)
def fresh_logging():
    _reset()
    yield
    _reset()


LONG = re.compile(r"""
    test_random\.py::.*with_time_steps\[[2-9] | test_random\.py::.*probed\[[02-9]
    | test_random\.py::.*in_blocks\[ | test_random\.py::.*one_spike\[[4-9]
    | test_random\.py::.*sequence\w*\[[3-9] | test_random\.py::.*skips_rows_of_zeros\[[3-9]
    | cocotb/test_array\.py::test_random_network\[(?!linear).*-quiet
    | cocotb/test_array\.py::test_random_network\[(rate|slices|residual-rate)-
    | cocotb/test_array\.py::test_random_network\[.*-[35]-
    | cocotb/test_array\.py::test_sequences_in_blocks_and_side_by_side\[(?!\{'stream':.1,)
    | hw/test_array\.py::.*which_layers_are_quiet\[(?!cif-both)
    | hw/test_array\.py::.*the_logits\[residual-(rate|phase-(?!both))
    | test_own_network\.py::test_it_fits | test_curve\.py::test_the_verilog
    | verify/test_stepping\.py::.*(long_trains|cif-3)
    | host/test_pcie\.py::test_a_sequence_element
    | host/test_load\.py::test_the_verilated_board\[uart | gen/build/test_ip\.py::test_the_testbench
    | gen/build/test_pcie\.py::test_the_endpoint_has_no_latch\[7
    | firmware/test_driver\.py::.*(lossy_line|lost)\w*\[.*large
    | firmware/test_driver\.py::test_logits\[(stepping|whole)-serial
    | pcie/test_endpoint\.py::test_samples_and_results\[(small|large)-.*-4DW
    | test_random\.py::.*from_changes\[0
    | test_report\.py::(TestTimeSteps::test_page|test_a_network_that_is_a_readout)
    | test_virtual\.py::test_every_step | test_device\.py::test_infer\[(stepping|residual)
    | test_driver\.py::test_logits\[(large|full) | test_planner\.py::test_slices_are_as_long
    | test_sequence\.py::test_interleaved_sequences_on_the_virtual_board\[both
    | cocotb/test_array\.py::test_random_network\[(residual|masked|recurrent)-
    | hw/test_array\.py::.*the_logits\[residual | test_random\.py::.*\[[3-9]\]
    | test_gate_level\.py::test_wrong_bit_of_a_block | test_endpoint\.py::.*\[large-.*-4DW
    """, re.VERBOSE)
"""Cases that take long, and that others of their kind stand for in `make test`."""


def pytest_collection_modifyitems(items):
    for item in items:
        if LONG.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
