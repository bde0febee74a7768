"""Samples that the C driver packs have the words that the host packs."""

from ctypes import c_uint32
from dataclasses import replace

import numpy as np
import pytest

from host.errors import HostError
from host.manifest import load

from .driver import Error


def layouts(manifest, seed, count):
    """Random inputs, as manifests."""
    rng = np.random.default_rng(seed)
    while count:
        shape = tuple(map(int, rng.integers(1, 8, 3)))
        levels = int(rng.integers(1, 1 + (1 << int(rng.integers(0, 25)))))
        bits = min(32, levels.bit_length() + int(rng.integers(0, 3)))
        word, continues = int(rng.integers(1, 1 + shape[0])), bool(rng.integers(2))
        beat = word * bits + continues
        beats = shape[1] * shape[2] * -(-shape[0] // word)
        words = -(-beats // max(1, 32 // beat)) * -(-beat // 32)
        most = min((1 << 32) - 1, ((1 << 53) - 1) // (2 * levels + 1))
        yield replace(manifest, shape=shape, map=shape, continues=continues, levels=levels,
                      pixel_max=int(rng.choice([1, levels, 255, 1 << 20, most])),
                      word=word, bits=bits,
                      registers=manifest.registers | {"input_words": words})
        count -= 1


def test_random_layouts(builds, driver_of):
    c = driver_of("linear").c
    rng = np.random.default_rng(1)
    for layout in layouts(load(builds("linear")), 0, 400):
        build = c.shim_layout((c_uint32 * 3)(*layout.map), layout.levels, layout.pixel_max,
                              layout.word, layout.bits, layout.continues,
                              layout.registers["input_words"])
        pixels = rng.integers(0, layout.pixel_max + 1, layout.shape)
        pixels[rng.random(layout.shape) < 0.2] = layout.pixel_max
        begins, guard = bool(rng.integers(2)), 0xdeadbeef
        count = layout.registers["input_words"]
        words = (c_uint32 * (count + 1))(*[guard] * (count + 1))
        c.spikeloom_clear(build, words, begins)
        order = rng.permutation(pixels.size).tolist()
        assert not any(c.spikeloom_put(build, words, index, int(pixels.flat[index]))
                       for index in order)
        expected = layout.pack(layout.encode(pixels[None])[0], begins=begins)
        assert list(words) == [*expected.tolist(), guard]
        if layout.pixel_max < 256:
            again = (c_uint32 * (count + 1))(*[guard] * (count + 1))
            raw = pixels.astype(np.uint8).tobytes()
            assert c.spikeloom_pack(build, again, raw, begins) == Error.OK
            assert list(again) == list(words)


def test_every_pixel(builds, driver_of):
    """Halves are rounded as the host rounds them."""
    manifest, c = load(builds("linear")), driver_of("linear").c
    for levels in (1, 3, 4, 10, 15, 254, 255):
        bits = levels.bit_length()
        one = replace(manifest, shape=(1, 1, 1), map=(1, 1, 1), levels=levels, word=1, bits=bits,
                      registers=manifest.registers | {"input_words": 1})
        build = c.shim_layout((c_uint32 * 3)(1, 1, 1), levels, 255, 1, bits, False, 1)
        words = (c_uint32 * 1)()
        for pixel, count in enumerate(one.encode(np.arange(256)[:, None]).reshape(-1).tolist()):
            c.spikeloom_clear(build, words, True)
            assert c.spikeloom_put(build, words, 0, pixel) == Error.OK
            assert words[0] == count


@pytest.mark.parametrize("index, pixel", [(18, 0), (0xffffffff, 0), (0, 256), (17, 0xffffffff)])
def test_what_is_out_of_range(index, pixel, driver_of):
    driver = driver_of("linear")
    words = (c_uint32 * 2)()
    assert driver.c.spikeloom_put(driver.build, words, index, pixel) == Error.RANGE
    assert list(words) == [0, 0]


def test_pixels_that_are_too_bright(builds, driver_of):
    """As the host refuses them."""
    c, layout = driver_of("linear").c, replace(load(builds("linear")), pixel_max=7)
    build = c.shim_layout((c_uint32 * 3)(*layout.map), layout.levels, 7, layout.word, layout.bits,
                          False, 2)
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[1, 2, 2] = 8
    assert c.spikeloom_pack(build, (c_uint32 * 2)(), pixels.tobytes(), True) == Error.RANGE
    with pytest.raises(HostError, match=r"must lie in 0\.\.7"):
        layout.encode(pixels[None])
