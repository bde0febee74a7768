"""What all tests share: one thread for torch, because the tests themselves run side by side; and
logging as it is before a command configures it, because tests run several in one process."""

import logging
import os

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
