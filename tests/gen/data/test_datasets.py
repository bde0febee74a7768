import gzip
import io
import os
import struct
import tracemalloc

import numpy as np
import pytest

from gen.data import datasets
from gen.data.datasets import load, read_array
from gen.errors import DataError, OutputError


def idx(array):
    return struct.pack(f">3xB{array.ndim}I".replace("3x", "BBB"), 0, 0, 8, array.ndim,
                       *array.shape) + array.tobytes()


ARRAYS = {
    "train-images-idx3-ubyte.gz": np.arange(12 * 28 * 28, dtype=np.uint8).reshape(12, 28, 28),
    "train-labels-idx1-ubyte.gz": (np.arange(12) % 10).astype(np.uint8),
    "t10k-images-idx3-ubyte.gz": np.ones((5, 28, 28), np.uint8),
    "t10k-labels-idx1-ubyte.gz": np.arange(5, dtype=np.uint8),
}


@pytest.fixture
def folder(tmp_path):
    for name, array in ARRAYS.items():
        (tmp_path / name).write_bytes(gzip.compress(idx(array)))
    return tmp_path


@pytest.mark.parametrize("array", [
    np.arange(6, dtype=np.uint8).reshape(2, 3), np.zeros((0, 4), ">i4"),
    np.ones((2, 2), np.float16), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([2**64 - 1], np.uint64),
], ids=str)
def test_array(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    read = read_array(tmp_path / "x.npy")
    assert np.array_equal(read, array)
    assert read.dtype == array.dtype


def npy(header, data=b""):
    """A ``.npy`` file with a header of one's own."""
    text = header.encode() + b" " * 9 + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def described(shape, descr="'|u1'"):
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", b"abc")


def archive():
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(3))
    return stream.getvalue()


NO_ARRAYS = {
    "empty": (b"", "its header can't be read"),
    "text": (b"no array", "its header can't be read"),
    "archive": (archive(), "its header can't be read"),
    "1 TiB": (described((1 << 40,)), "it has 3 bytes, which is not the shape"),
    "10^26": (described((10**13, 10**13)), "it has 3 bytes, which is not the shape"),
    "many axes": (described((10**300,) * 9), "it has 3 bytes, which is not the shape"),
    "negative": (described((-1, -3)), "it has 3 bytes, which is not the shape"),
    "too short": (described((4,)), r"it has 3 bytes, which is not the shape \(4,\) of uint8"),
    "too long": (described((2,)), r"it has 3 bytes, which is not the shape \(2,\) of uint8"),
    "nested": (npy("(" * 5000), "its header can't be read"),
    "no keys": (npy("{}"), "its header can't be read"),
    "a word for a shape": (described("'abc'"), "its header can't be read"),
    "objects": (described((3,), "'|O'"), "it holds object"),
    "text array": (described((3,), "'<U1'"), "it holds <U1"),
    "records": (described((1,), "[('a', '|u1', (3,))]"), "it holds "),
    "one value": (npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", b"a"),
                  "it holds one value"),
}


@pytest.mark.parametrize("data, message", NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_no_array(tmp_path, data, message):
    (tmp_path / "x.npy").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataError, match=f"x.npy: is not an .npy file of numbers: {message}") as e:
        read_array(tmp_path / "x.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert "\n" not in str(e.value)
    assert len(str(e.value)) <= 500


def test_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, why in {".": "Is a directory", "pipe": "Not a regular file", "x.npy": "No such file",
                      "\0": "embedded null byte"}.items():
        with pytest.raises(DataError, match=f": can't be read as an .npy file of numbers: {why}"):
            read_array(tmp_path / name)


def test_digits():
    digits = load("digits")
    assert digits.train_images.shape == (1442, 1, 8, 8)
    assert digits.test_images.shape == (355, 1, 8, 8)
    assert digits.pixel_max == 16 == digits.train_images.max()
    assert digits.train_images.dtype == np.uint8
    shares = np.bincount(digits.test_labels) / np.bincount(digits.train_labels)
    assert shares.min() > 0.2
    assert shares.max() < 0.26


def test_folder(folder, monkeypatch):
    mnist = load("mnist", folder)
    assert np.array_equal(mnist.train_images[:, 0], ARRAYS["train-images-idx3-ubyte.gz"])
    assert np.array_equal(mnist.test_labels, np.arange(5))
    assert mnist.test_images.shape == (5, 1, 28, 28)
    assert mnist.pixel_max == 255
    monkeypatch.setenv("SPIKELOOM_DATA", str(folder))
    assert load("fashion-mnist").name == "fashion-mnist"


def test_folder_of_folders(folder, tmp_path):
    (tmp_path / "all" / "mnist").mkdir(parents=True)
    for name in ARRAYS:
        (folder / name).rename(tmp_path / "all" / "mnist" / name)
    assert len(load("mnist", tmp_path / "all").train_images) == 12
    with pytest.raises(DataError, match="has no fashion-mnist data; it must hold train-images"):
        load("fashion-mnist", tmp_path / "all")


def damage(folder, name, message):
    with pytest.raises(DataError, match=message) as error:
        load("mnist", folder)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 1, 5, 10, 40, 200])
def test_truncated_gzip(folder, length):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:length])
    damage(folder, path, "can't be unpacked|is not an IDX file")


def test_corrupt_gzip(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    for k in range(len(path.read_bytes())):
        original = path.read_bytes()
        path.write_bytes(original[:k] + bytes([original[k] ^ 0x10]) + original[k + 1:])
        message = ""
        try:
            assert len(load("mnist", folder).train_labels) == 12
        except DataError as error:
            message = str(error)
        assert "\n" not in message
        path.write_bytes(original)


@pytest.mark.parametrize("content, message", [
    (b"", "is not an IDX file of bytes"),
    (b"\0\0\x0d\x01" + bytes(8), "is not an IDX file of bytes"),
    (b"\0\0\x08\x03\0\0", "but its header says the shape"),
    (idx(ARRAYS["train-images-idx3-ubyte.gz"])[:-1], "but its header says the shape"),
    (idx(ARRAYS["train-images-idx3-ubyte.gz"]) + b"x", "but its header says the shape"),
    (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),
     "but its header says the shape"),
    (idx(np.zeros((11, 28, 28), np.uint8)), "do not belong together"),
    (idx(np.zeros((0, 28, 28), np.uint8)), "do not belong together"),
    (idx(np.zeros((12, 27, 28), np.uint8)), "the training and the test images differ in size"),
    (idx(np.zeros(12, np.uint8)), "do not belong together"),
])
def test_wrong_images(folder, content, message):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    damage(folder, "", message)


def test_wrong_labels(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(idx(np.array([0, 1, 2, 3, 10], np.uint8))))
    damage(folder, "", r"the test labels must lie in 0\.\.9, not 10")


def test_download(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.delenv("SPIKELOOM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setitem(datasets._SOURCES, "mnist",
                        (f"{folder.as_uri()}/", datasets._SOURCES["mnist"][1]))
    with pytest.raises(DataError, match="the checksum differs"):
        load("mnist")
    digests = tuple(datasets.hashlib.sha256((folder / name).read_bytes()).hexdigest()
                    for name in datasets._FILES)
    monkeypatch.setitem(datasets._SOURCES, "mnist", (f"{folder.as_uri()}/", digests))
    assert len(load("mnist").train_images) == 12
    monkeypatch.setitem(datasets._SOURCES, "mnist", (f"{tmp_path.as_uri()}/none/", digests))
    assert len(load("mnist").train_images) == 12
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"^mnist is missing and can't be downloaded"):
        load("mnist")
    assert not (tmp_path / "empty").exists()


def test_the_cache_is_checked_before_a_download(tmp_path, monkeypatch):
    (tmp_path / "spikeloom").write_text("in the way")
    monkeypatch.delenv("SPIKELOOM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(datasets.urllib.request, "urlopen",
                        lambda *_, **__: pytest.fail("downloaded"))
    for dataset in ("mnist", "cifar-10"):
        with pytest.raises(OutputError, match=f"^{tmp_path}/spikeloom/{dataset}/.* can't be writt"):
            load(dataset)


def test_unknown():
    with pytest.raises(DataError, match=r"^there is no data set 'cifar'; did you mean 'cifar-10'. "
                                        "known are digits, mnist, fashion-mnist, cifar-10, "):
        load("cifar")
