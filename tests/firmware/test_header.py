"""``spikeloom.h`` says what the manifest says."""

import ctypes
import json
import re
import struct

import numpy as np
import pytest

from firmware.header import NAME, header
from gen.build import manifest as built
from host.manifest import load


def facts_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def macros(text):
    return {name: int(value) for name, value in
            re.findall(r"#define SPIKELOOM_(\w+) (\d+)u /\*", text)}


def fields(text):
    return {name: int(value.rstrip("u"), 0) for name, value in
            re.findall(r"\.(\w+) = (\w+),", text) if value[0].isdigit()}


@pytest.mark.parametrize("name", ["linear", "wide", "stepping", "large", "both"])
def test_every_build_has_one(name, builds):
    folder = builds(name)
    text, manifest = (folder / NAME).read_text(encoding="utf-8"), load(folder)
    where = manifest.registers
    assert text == header(facts_of(folder))
    assert built.read(folder).file(NAME).exists()
    digest = [int(word, 16) for word in re.findall(r"^ {8}(0x\w{8})u,$", text, re.MULTILINE)]
    assert struct.pack("<8I", *digest).hex() == manifest.digest
    said = macros(text)
    assert (said["CHANNELS"], said["HEIGHT"], said["WIDTH"]) == manifest.map
    assert said["PIXELS"] == np.prod(manifest.map)
    assert said["PIXEL_MAX"] == manifest.pixel_max
    assert said["INPUT_WORDS"] == where["input_words"]
    assert said["RESULT_WORDS"] == 2 + where["classes"] * where["logit_words"] + where[
        "quiet_words"]
    assert said["LOGITS"] == where["classes"] == said["CLASSES"] * said["POSITIONS"]
    assert said["TIMESTEPS"] == where["most_timesteps"]
    assert said["QUIET_LAYERS"] == len(manifest.settling)
    found = fields(text)
    assert found["baud"] == manifest.baud
    assert {name: found[name] for name in ("logit_words", "quiet_words")} == {
        name: where[name] for name in ("logit_words", "quiet_words")}
    assert (found["levels"], found["word"], found["bits"]) == (
        manifest.levels, manifest.word, manifest.bits)
    assert f".continues = {str(manifest.continues).lower()}," in text
    addresses = fields(text[text.index(".at = {"):text.index(".input_words")])
    assert addresses == {name: where[name] for name in addresses}
    assert len(addresses) == 10


def test_the_compiler_reads_the_same(driver_of):
    driver = driver_of("linear")
    assert driver.words == 2 + driver.manifest.registers["classes"]
    first = (ctypes.c_uint32 * 9).from_address(driver.build)
    assert struct.pack("<8I", *first[:8]).hex() == driver.manifest.digest
    assert first[8] == driver.manifest.baud
