"""Loading an image with the C driver: into a device in integers, over both links."""

import random

import numpy as np
import pytest

from firmware.image import Memory, pack, unpack
from tests.host.test_device import Vandal
from tests.host.test_load import FIRST, OTHER, LoadableTransport, folders, tested

from .driver import Driver, Error

__all__ = ["folders", "tested"]


@pytest.fixture(scope="module")
def drivers(folders, tmp_path_factory):
    """The drivers of both networks, and their images."""
    return [(Driver(folder, tmp_path_factory.mktemp("driver")),
             (folder / "memory.img").read_bytes()) for folder in folders]


def connect(driver, transport, link="serial", **options):
    if link == "serial":
        driver.serial(transport, **options)
    else:
        driver.mapped(transport.target)


@pytest.mark.parametrize("link, rate", [("serial", 0), ("serial", 0.001), ("mapped", 0)])
def test_another_network(link, rate, drivers, images):
    (ours, _), (theirs, image) = drivers
    transport, raw = LoadableTransport(spoil=Vandal(3, rate)), images(FIRST, 3)
    connect(ours, transport, link, attempts=60)
    assert ours.open() == Error.OK
    assert np.array_equal(ours.infer(raw), FIRST.predict(raw))
    connect(theirs, transport, link, attempts=60)
    assert theirs.open() == Error.OTHER_NETWORK
    assert theirs.load(image) == Error.OK
    assert theirs.c.spikeloom_submit(theirs.device, None) == Error.CLOSED
    assert theirs.open() == Error.OK
    assert np.array_equal(theirs.infer(raw), OTHER.predict(raw))
    connect(ours, transport, link, attempts=60)
    assert ours.open() == Error.OTHER_NETWORK


def test_images_that_are_not_of_the_build(drivers, images):
    (ours, first), (_, other) = drivers
    transport = LoadableTransport()
    connect(ours, transport)
    digest, memories = unpack(first)
    for image in (b"", first[:100], first[:-1], first[:-4] + bytes(4), other,
                  pack(memories, digest=bytes(32)), pack(memories[1:], digest=digest),
                  pack([*memories[:-1], Memory(memories[-1].name, 1, (1,))], digest=digest)):
        assert ours.load(image) == Error.IMAGE
    # Only what an image has of each memory is looked at when it is sent.
    assert transport.loader.intact or transport.loader.loading
    rng = random.Random(0)
    for _ in range(300):
        spoilt = bytearray(first)
        for _ in range(rng.randint(1, 4)):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        assert ours.load(bytes(spoilt)) == Error.IMAGE
    assert ours.load(first) == Error.OK


def test_a_device_that_is_damaged(drivers, images):
    (ours, first), _ = drivers
    transport, raw = LoadableTransport(), images(FIRST, 2)
    connect(ours, transport)
    assert ours.open() == Error.OK
    transport.loader.rows[0][0] ^= 1
    transport.loader.scrub()
    assert ours.submit(ours.pack(raw[0])) == Error.DAMAGED
    assert ours.open() == Error.DAMAGED
    assert ours.load(first) == Error.OK
    assert ours.open() == Error.OK
    assert np.array_equal(ours.infer(raw), FIRST.predict(raw))


def test_a_build_whose_memories_are_fixed(driver_of, drivers):
    driver, (_, image) = driver_of("linear"), drivers[0]
    driver.serial(LoadableTransport())
    assert driver.load(image) == Error.RANGE


@pytest.mark.parametrize("word, error", [(2, Error.OK), (4, Error.FAILED), (1, Error.BUSY)])
@pytest.mark.parametrize("tested", ["uart", "pcie"], indirect=True)
def test_a_device_that_tests_itself(word, error, tested, tmp_path):
    driver = Driver(tested[0], tmp_path)
    transport = LoadableTransport()
    where, read = driver.manifest.registers, transport.target.read
    digest = bytes.fromhex(driver.manifest.digest)

    def answer(addr):
        if where["digest"] <= addr < where["digest"] + 8:
            k = 4 * (addr - where["digest"])
            return int.from_bytes(digest[k:k + 4], "little")
        return word if addr == where["selftest"] else read(addr)

    transport.target.read = answer
    driver.mapped(transport.target)
    assert driver.open() == error
