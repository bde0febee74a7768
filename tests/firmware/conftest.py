"""Builds, and drivers that were compiled for them."""

from functools import partial

import pytest

from gen.build.builder import build
from tests.host.conftest import builds as host_builds
from tests.host.conftest import images
from tests.networks import linear

from .driver import Driver

__all__ = ["LARGE", "builds", "driver_of", "host_builds", "images"]

LARGE = {"full": partial(linear, shape=(944, 1, 1), classes=58),
         "whole": partial(linear, shape=(960, 1, 1), classes=59),
         "large": partial(linear, shape=(1950, 1, 1), classes=130)}
"""Networks whose samples have 59, 60 and 122 words, and whose results 60, 61 and 132: a frame has
60."""


@pytest.fixture(scope="session")
def builds(host_builds, tmp_path_factory):
    """Name of a network -> its build's directory, built when first asked for."""
    folder = tmp_path_factory.mktemp("large")

    def get(name):
        if name not in LARGE:
            return host_builds(name)
        if not (folder / name).exists():
            build(LARGE[name](), board="arty-a7", out=folder / name, synthesise=False)
        return folder / name
    return get


@pytest.fixture(scope="session")
def driver_of(builds, tmp_path_factory):
    """Name of a network -> its driver, which has no link yet; compiled when first asked for."""
    done = {}

    def get(name):
        if name not in done:
            done[name] = Driver(builds(name), tmp_path_factory.mktemp("driver"))
        return done[name]
    return get
