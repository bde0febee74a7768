import json
import os
from dataclasses import replace

import numpy as np
import pytest

from boards import find
from gen.build.planning import design_for
from gen.ir import beats
from gen.plan.mapping import map_network
from host.errors import HostError
from host.manifest import load
from hw.device import packing

from .conftest import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_images_are_encoded_and_packed_as_the_gateware_expects(name, builds, images):
    network, manifest = NETWORKS[name](), load(builds(name))
    config, _ = map_network(network)
    raw = images(network, 5)
    counts = manifest.encode(raw)
    assert np.array_equal(counts, network.encode(raw))
    for k, image in enumerate(beats.pack_input(counts, config)):
        whole = [sum(int(word) << 32 * j for j, word in enumerate(row)) for row in image]
        assert manifest.pack(counts[k]).tolist() == packing(config).pack(whole)


@pytest.mark.parametrize("raw, message", [
    (np.zeros((2, 1, 9, 9)), "images must be integers in 0..255, not float64"),
    (np.zeros((2, 1, 9, 8), int), "images must have the shape (N, 1, 9, 9), not (2, 1, 9, 8)"),
    (np.zeros(5, int), "images must have the shape (N, 1, 9, 9), not (5,)"),
    (np.full((2, 9, 9), 256), "pixels must lie in 0..255, not 256..256"),
    (np.full((2, 9, 9), -1), "pixels must lie in 0..255, not -1..-1"),
    (np.zeros((2, 9, 9), object), "images must be integers in 0..255, not object"),
])
def test_images_that_do_not_fit(raw, message, builds):
    with pytest.raises(HostError) as error:
        load(builds("convolutional")).encode(raw)
    assert str(error.value) == message


def test_vectors(builds):
    manifest = replace(load(builds("linear")), shape=(18, 1, 1))
    raw = np.arange(36).reshape(2, 18)
    assert np.array_equal(manifest.encode(raw), manifest.encode(raw[:, :, None, None]))
    with pytest.raises(HostError, match=r"^images must have the shape \(N, 18\) or "
                                        r"\(N, 18, 1, 1\), not \(2, 17\)$"):
        manifest.encode(raw[:, 1:])


def nested(depth):
    return [nested(depth - 1)] if depth else 0


def edited(tmp_path, builds, edit):
    manifest = json.loads((builds("linear") / "manifest.json").read_text())
    edit(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.mark.parametrize("edit, message", [
    (lambda m: m.update(format=1), "not a manifest of format 4"),
    (lambda m: m.pop("digest"), "incomplete or damaged (KeyError: 'digest')"),
    (lambda m: m.update(digest="xyz"), "digest is not 64 hexadecimal digits"),
    (lambda m: m.update(link=5), "incomplete or damaged (TypeError"),
    (lambda m: m["link"].update(baud=0), "baud is not a positive integer"),
    (lambda m: m["link"].update(baud="fast"), "baud is not a positive integer"),
    (lambda m: m["input"].update(shape=[1, 2]), "shape is not three positive integers"),
    (lambda m: m["input"].update(shape=[1, 2, 3]), "shape and map differ in size"),
    (lambda m: m["input"].update(pixel_max=1 << 62), "levels times pixel_max is too large"),
    (lambda m: m["input"].update(levels=99), "bits don't hold levels"),
    (lambda m: m["input"].update(bits=10 ** 12), "bits don't hold levels"),
    (lambda m: m["input"].update(word=10 ** 30), "input and input_words disagree"),
    (lambda m: m["input"].update(shape=[10 ** 30] * 3, map=[10 ** 30] * 3), "input_words disagree"),
    (lambda m: m.update(clock_hz=1 << 32), "clock_hz is out of range"),
    (lambda m: m["input"].update(beats=nested(900)), "edited since the build"),
    (lambda m: m["input"].update(beats=float("nan")), "edited since the build"),
    (lambda m: m["input"].update(word=17), "input and input_words disagree"),
    (lambda m: m["registers"].pop("result"), "register result is no address"),
    (lambda m: m["registers"].update(submit=1 << 16), "register submit is no address"),
    (lambda m: m["registers"].update(session=0), "registers are not in their order"),
    (lambda m: m["registers"].update(clock_hz=60000), "registers are not in their order"),
    (lambda m: m["registers"].update(max_words=0), "max_words is out of range"),
    (lambda m: m["registers"].update(classes=0), "there are no classes"),
    (lambda m: m.update(registers=[1]), "incomplete or damaged (TypeError"),
])
def test_damaged_manifests(edit, message, builds, tmp_path):
    path = edited(tmp_path, builds, edit)
    with pytest.raises(HostError) as error:
        load(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("edit", [
    lambda m: m["input"].update(pixel_max=254),
    lambda m: m["input"].update(levels=m["input"]["levels"] - 1),
    lambda m: m["input"].update(shape=m["input"]["shape"][::-1]),
    lambda m: m["registers"].update(result=m["registers"]["result"] + 1),
    lambda m: m["output"].update(bits=7),
    lambda m: m.update(network_digest="0" * 64),
    lambda m: m.update(digest="0" * 64),
])
def test_what_the_host_goes_by_is_covered_by_the_digest(edit, builds, tmp_path):
    with pytest.raises(HostError, match=r"manifest\.json: edited since the build \(its digest does "
                                        r"not match its network_digest, array_digest, input, "
                                        r"output, registers\); build it again$"):
        load(edited(tmp_path, builds, edit))


def test_the_digest_is_the_one_that_the_device_has(builds):
    for name in NETWORKS:
        design = design_for(NETWORKS[name](), find("arty-a7"))
        assert load(builds(name)).digest == design.digest


def test_the_greatest_product_is_exact(builds):
    manifest = load(builds("linear"))
    greatest = ((1 << 53) - 1) // (2 * manifest.levels + 1)
    manifest = replace(manifest, pixel_max=greatest)
    raw = np.full((1, *manifest.shape), greatest, np.int64)
    assert (manifest.encode(raw) == manifest.levels).all()
    with pytest.raises(HostError, match="levels times pixel_max is too large"):
        replace(manifest, pixel_max=greatest + 1)


def test_a_fifo_is_no_manifest(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(HostError, match=r"manifest\.json: not a regular file; --board takes the "):
        load(tmp_path)


def test_a_file_that_is_too_large(tmp_path):
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(HostError, match=r"manifest\.json: larger than 16 MiB, so not a manifest; "):
        load(tmp_path)


def test_missing_manifest(tmp_path):
    with pytest.raises(HostError, match=r"manifest\.json: No such file or directory; --board takes "
                                        r"the directory that `python -m gen build` has written$"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"format": 1}', "\x00", "[" * 100_000])
def test_garbage(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(HostError) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_truncated_at_every_length(builds, tmp_path):
    text = (builds("linear") / "manifest.json").read_text().rstrip()
    for length in range(0, len(text), 7):
        (tmp_path / "manifest.json").write_text(text[:length])
        with pytest.raises(HostError):
            load(tmp_path)
