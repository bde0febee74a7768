import copy
import io
import json
import os
import random
import re
import resource
import struct
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from gen.errors import ArtifactError, NetworkError, OutputError
from gen.ir import artifact, declared, shipped
from gen.ir.artifact import load, save
from gen.ir.layers import INPUT, Neurons, Pool, Readout
from gen.ir.network import Network
from gen.ir.synapses import Synapses
from hw.dynamics import Dynamics
from tests import networks


def network(**changes):
    rng = np.random.default_rng(0)
    layers = (
        Neurons("conv", (Synapses(INPUT, rng.integers(-8, 8, (2, 1, 2, 2)), (2, 1), (1, 0), 1, 4),),
                np.array([1, -70000]), np.array([300, 2]), 3),
        Pool("pool", "conv", "max", (2, 2), (1, 1)),
        Neurons("add", (Synapses("pool", rng.integers(-99, 99, (2, 2, 1, 1))),
                        Synapses("pool", np.full((2, 1, 1, 1), 300), groups=2, bits=10)),
                np.array([1, 2]), np.array([3, 4]), 7),
        Readout("out", (Synapses("add", rng.integers(-99, 99, (3, 2, 1, 1))),), np.zeros(3, int)),
    )
    fields = {"name": "net", "input_shape": (1, 2, 3), "input_levels": 15, "pixel_max": 255,
              "layers": layers, "metadata": {"accuracy": 0.5, "why": "ü"},
              "samples": rng.integers(0, 256, (3, 1, 2, 3))}
    return Network(**{**fields, **changes})


@pytest.fixture
def path(tmp_path):
    save(network(), tmp_path / "net.npz")
    return tmp_path / "net.npz"


def test_round_trip(path):
    loaded, original = load(path), network()
    assert loaded.digest == original.digest
    assert dict(loaded.metadata) == dict(original.metadata)
    assert (loaded.name, loaded.shapes) == (original.name, original.shapes)
    counts = np.random.default_rng(1).integers(0, 16, (9, 1, 2, 3))
    assert np.array_equal(loaded.run(counts).logits, original.run(counts).logits)
    assert np.array_equal(loaded.samples, original.samples)


def test_same_network_same_bytes(path, tmp_path):
    save(load(path), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_numpy_reads_it(path):
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(file["header"].tobytes())["digest"] == network().digest


def unchanged_or_refused(path, data, digest):
    path.write_bytes(data)
    try:
        assert load(path).digest == digest
    except ArtifactError as error:
        message = str(error)
    else:
        return 0
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return 1


def test_truncated_at_every_length(path):
    data, digest = path.read_bytes(), network().digest
    for length in range(len(data)):
        assert unchanged_or_refused(path, data[:length], digest) == 1, length


def test_random_bit_flips(path):
    data, digest, rng = path.read_bytes(), network().digest, random.Random(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        refused += unchanged_or_refused(path, bytes(damaged), digest)
    assert refused > 1000


def rewrite(path, change, compression=zipfile.ZIP_STORED):
    """Write the archive again, with right checksums, after ``change(header, members)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
    change(header, members)
    if "header.npy" in members:
        members["header.npy"] = npy(np.frombuffer(json.dumps(header).encode(), np.uint8))
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def huge(header, members):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<i8", "fortran_order": False, "shape": (1 << 40, 1 << 40)})
    members["0.initial.npy"] = stream.getvalue()


CONTRADICTIONS = {
    "format": (lambda h, m: h.update(format=2), "has the format 2, but this version reads 1"),
    "digest": (lambda h, m: h.update(digest="0" * 64), "does not have the digest that its header"),
    "other weights": (lambda h, m: m.update({"3.0.weights.npy": npy(np.zeros((3, 2, 1, 1), "i1"))}),
                      "does not have the digest"),
    "other shape": (lambda h, m: m.update({"3.0.weights.npy": npy(np.zeros((3, 9, 1, 1), "i1"))}),
                    "contradicts itself: synapses from 'add': the source has 2 channels"),
    "no header": (lambda h, m: m.pop("header.npy"), "has a malformed header (KeyError: 'header')"),
    "a missing key": (lambda h, m: h.pop("layers"), "has a malformed header (KeyError: 'layers')"),
    "a list for a name": (lambda h, m: h["layers"][0].update(name=[]), "contradicts itself"),
    "a word for a number": (lambda h, m: h.update(input_levels="15"), "input_levels must be"),
    "negative stride": (lambda h, m: h["layers"][0]["synapses"][0].update(stride=[-1, 1]),
                        "contradicts itself"),
    "huge levels": (lambda h, m: h["layers"][0].update(levels=1 << 80), "contradicts itself: conv"),
    "huge input": (lambda h, m: h.update(input_levels=1 << 62), "contradicts itself: input_levels"),
    "huge pool": (lambda h, m: h["layers"][1].update(kernel=[1 << 70, 1 << 70]),
                  "contradicts itself"),
    "huge potential": (lambda h, m: m.update({"0.initial.npy": npy(np.array([1, -1 << 63]))}),
                       "contradicts itself: conv: potentials need more than 53 bits"),
    "null": (lambda h, m: h.update(layers=None), "has a malformed header"),
    "unknown layer": (lambda h, m: h["layers"][0].update(type="lstm"),
                      "has a layer of the type 'lstm', which this version does not know"),
    "spare member": (lambda h, m: m.update({"9.initial.npy": npy(np.zeros(2, "i1"))}),
                     "has a member '9.initial' that no layer uses"),
    "missing member": (lambda h, m: m.pop("0.threshold.npy"), "malformed header (KeyError"),
    "real numbers": (lambda h, m: m.update({"0.initial.npy": npy(np.zeros(2))}),
                     "member '0.initial.npy' must be integers in C order, not float64"),
    "objects": (lambda h, m: m.update({"0.initial.npy": npy(np.array([{}, {}]))}),
                "member '0.initial.npy' must be integers in C order, not object"),
    "huge shape": (huge, "member '0.initial.npy' has 0 bytes, which is not the shape"),
    "no array": (lambda h, m: m.update({"0.initial.npy": b"hello"}), "is truncated, corrupt or no"),
    "no members": (lambda h, m: m.clear(), "has a malformed header"),
}


@pytest.mark.parametrize("change, message", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions(path, change, message):
    rewrite(path, change)
    with pytest.raises(ArtifactError, match=re.escape(message)) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_compressed(path):
    rewrite(path, lambda h, m: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArtifactError, match="has compressed or encrypted members"):
        load(path)


def test_many_members(path):
    rewrite(path, lambda h, m: m.update({f"{k}": b"" for k in range(5000)}))
    with pytest.raises(ArtifactError, match=r"has 50.. members, more than 4096"):
        load(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY", b"\0" * 1000], ids=range(4))
def test_no_archive(path, data):
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="is truncated, corrupt or no network file"):
        load(path)


def test_more_than_32_mib(tmp_path):
    """As large as a VGG-16 for small pictures."""
    net = vector(33 << 20)
    save(net, tmp_path / "net.npz")
    assert (tmp_path / "net.npz").stat().st_size > 33 << 20
    assert load(tmp_path / "net.npz").digest == net.digest


def vector(weights, name="out"):
    layer = Readout(name, (Synapses(INPUT, np.ones((1, weights, 1, 1), np.int64)),),
                    np.zeros(1, int))
    return Network("net", (weights, 1, 1), 1, 1, (layer,))


@pytest.mark.parametrize("limit, value", [("MAX_WEIGHTS", 999), ("_MAX_BYTES", 1200),
                                          ("_MAX_HEADER", 1300), ("_MAX_MEMBERS", 2)])
def test_what_can_not_be_loaded_is_not_saved(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(f"gen.ir.artifact.{limit}", value)
    with pytest.raises(ArtifactError, match=r"is larger than any|are more than a network file may"):
        save(vector(1000), tmp_path / "net.npz")
    assert not (tmp_path / "net.npz").exists()


class Peak:
    """Greatest number of bytes that Python has allocated inside the context."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *exc):
        self.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def sparse(path, size):
    """Puts a hole of so many bytes in front of the archive, which stays a good one."""
    data = path.read_bytes()
    with open(path, "wb") as file:
        file.seek(size)
        file.write(data)


def bomb(path, size):
    """An archive whose members all are the same ``size`` bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.npy", bytes(size))
        first = archive.infolist()[0]
        for k in range(1, 200):
            archive.filelist.append(other := copy.copy(first))
            other.filename = f"{k}.npy"
            archive.NameToInfo[other.filename] = other


def directory(path, entries, length):
    """A file with a hole that says it is a directory."""
    with open(path, "wb") as file:
        file.seek(length)
        file.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, entries, entries, length, 0, 0))


def directory64(path, length):
    with open(path, "wb") as file:
        file.seek(length)
        file.write(b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, length, 0))
        file.write(b"PK\6\7" + struct.pack("<LQL", 0, length, 1))
        file.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, 100, 0, 0))


HOSTILE = {
    "hole": (lambda path: sparse(path, 4 << 30), None),
    "overlapping members": (lambda path: bomb(path, 1 << 20), "declares more data than it has"),
    "huge directory": (lambda path: directory(path, 1, 3 << 30),
                       "has a directory of 3221225472 bytes, more than"),
    "huge directory of many": (lambda path: directory(path, 65535, 1 << 20),
                               "has 65535 members, more than 4096"),
    "huge directory in 64 bits": (lambda path: directory64(path, 6 << 30),
                                  "is an archive of the kind for more than 4 GiB"),
    "garbage": (lambda path: os.truncate(path, 33 << 20),
                "is truncated, corrupt or no network file"),
}


@pytest.mark.parametrize("make, message", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_no_memory(path, make, message):
    make(path)
    with Peak() as peak:
        if message is None:
            assert load(path).digest == network().digest
        else:
            with pytest.raises(ArtifactError, match=re.escape(message)):
                load(path)
    assert peak.bytes < 8 << 20


def test_declares_more_than_a_network_has(path, monkeypatch):
    monkeypatch.setattr("gen.ir.artifact._MAX_BYTES", 1000)
    with pytest.raises(ArtifactError, match="declares 0 MiB, more than the 0 of a network of"):
        load(path)


def test_long_header(path):
    rewrite(path, lambda h, m: h["metadata"].update(why="x" * (4 << 20)))
    with pytest.raises(ArtifactError, match="has a header of more than 4 MiB"):
        load(path)


def test_missing_file_and_folder(tmp_path):
    for path in tmp_path / "none.npz", tmp_path, tmp_path / "a\0b":
        with pytest.raises(ArtifactError, match=f"^{re.escape(str(path))}: can't be read: "):
            load(path)


def test_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"/net.npz: can't be written: Not a directory; "):
        save(network(), tmp_path / "file" / "net.npz")


def test_a_full_disk_leaves_the_old_network(path):
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(OutputError, match=f"^{path}: can't be written: File too large; "):
            save(network(samples=np.zeros((99, 1, 2, 3), int)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "net.npz")
    for path in (tmp_path / "net.npz", "/dev/zero"):
        with pytest.raises(ArtifactError, match=f"^{path}: can't be read: Not a regular file; "):
            load(path)


CONTRADICTIONS = [
    (None, {"schedule": "step"},
     "the metadata say schedule 'step', but the neurons fire once, after all the charge"),
    (None, {"method": "qcfs", "timesteps": 4},
     "the metadata say 4 time-steps, but the network has none"),
    (Dynamics(4), {"schedule": "settle"},
     "the metadata say schedule 'settle', but the neurons fire in every time-step"),
    (Dynamics(4), {"schedule": ["step"]},
     "the metadata say schedule ['step'], but the neurons fire in every time-step"),
    (Dynamics(4), {"timesteps": 5}, "the metadata say 5 time-steps, but the network has 4"),
    (Dynamics(4), {"method": "zorro"}, "there is no method in the metadata 'zorro'; known are "
     + ", ".join(declared.METHODS)),
    *((dynamics, {"method": method},
       f"the metadata say method {method}, but the time-steps of the layers are not of that method")
      for method, dynamics in (
        ("qcfs", Dynamics(4, burst=2)), ("qcfs", Dynamics(4, probe=1)),
        ("threshold-balance", Dynamics(4)), ("casc", Dynamics(3)), ("srp", Dynamics(3)),
        ("casc", Dynamics(2, 3, signed=True, bound="elapsed")), ("one-spike", Dynamics(1)),
        ("st-bif", Dynamics(2, signed=True, bound="levels")), ("group", Dynamics(1, phases=2)))),
]


@pytest.mark.parametrize("dynamics, said, message", CONTRADICTIONS)
def test_methods_that_are_not_those_of_the_layers(dynamics, said, message, tmp_path, monkeypatch):
    made = networks.linear() if dynamics is None else networks.stepping(dynamics)
    made = replace(made, metadata=said)
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        save(made, tmp_path / "net.npz")
    monkeypatch.setattr(artifact, "check_method", lambda network: None)
    save(made, tmp_path / "net.npz")
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match=re.escape(f": contradicts itself: {message}; write")):
        load(tmp_path / "net.npz")


@pytest.mark.parametrize("name", shipped.names())
def test_shipped(name):
    net = shipped.find(name)
    assert net.name == name
    assert net.metadata["accuracy"] > {"mnist": 0.993, "mnist-mlp": 0.98, "mnist-mlp-128": 0.98,
                                       "digits": 0.95, "digits-mlp": 0.96, "fashion-mnist": 0.905,
                                       "cifar-10": 0.85, "cifar-10-resnet": 0.91,
                                       "mnist-qcfs": 0.975, "mnist-threshold-balance": 0.994,
                                       "mnist-casc": 0.995, "digits-rows-rnn": 0.98,
                                       "mnist-rows-rnn": 0.985, "mnist-pixels-crnn": 0.993,
                                       "mnist-permuted-crnn": 0.982, "platooning-rnn": 0.957}[name]
    assert f"--name {name} --seed {net.metadata['seed']}" in net.metadata["command"]


def test_shipped_names(tmp_path):
    assert "digits" in shipped.names()
    save(network(), tmp_path / "digits")
    assert shipped.find("digits").name == "digits"
    assert shipped.find(tmp_path / "digits").name == "net"
    with pytest.raises(ArtifactError, match=r"^there is no file or shipped network 'none'; known "
                                            "are cifar-10, cifar-10-resnet, digits"):
        shipped.find("none")
