"""Builds, and drivers that were compiled for them."""

import pytest

from tests.host.conftest import builds, images

from .driver import Driver

__all__ = ["builds", "driver_of", "images"]


@pytest.fixture(scope="session")
def driver_of(builds, tmp_path_factory):
    """Name of a network -> its driver, which has no link yet; compiled when first asked for."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = Driver(builds(name), tmp_path_factory.mktemp("driver"))
        return done[name]
    return get
