import hashlib
import io
import tarfile

import numpy as np
import pytest

from gen.data import cifar, datasets
from gen.data.datasets import load
from gen.errors import DataError

RECORD = 3073


@pytest.fixture(scope="module")
def records():
    """60,000 records; images are told apart by their first bytes."""
    records = np.zeros((60_000, RECORD), np.uint8)
    records[:, 0] = np.arange(60_000) % 10
    records[:, 1:5] = np.arange(60_000, dtype="<u4").view(np.uint8).reshape(-1, 4)
    records[:, 2000] = 200
    return records


def write_binary(folder, records):
    for k, name in enumerate(cifar.FORMS[0]):
        records[k * 10_000:][:10_000].tofile(folder / name)


def write_sheets(folder, records):
    Image = pytest.importorskip("PIL.Image")
    images = records[:, 1:].reshape(6, 100, 100, 3, 32, 32).transpose(0, 1, 4, 2, 5, 3)
    for name, sheet in zip(cifar.FORMS[1], images.reshape(6, 3200, 3200, 3), strict=False):
        Image.fromarray(np.ascontiguousarray(sheet)).save(folder / name, compress_level=1)
    np.savez(folder / "labels.npz", y_train=records[:50_000, 0], y_test=records[50_000:, 0])


@pytest.fixture(scope="module")
def binary(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("cifar")
    write_binary(folder, records)
    return folder


def test_binary(binary, records):
    loaded = load("cifar-10", binary)
    assert loaded.train_images.shape == (50_000, 3, 32, 32)
    assert loaded.test_images.shape == (10_000, 3, 32, 32)
    assert loaded.train_images.dtype == np.uint8
    assert loaded.pixel_max == 255
    whole = np.concatenate([loaded.test_labels[:, None].astype(np.uint8),
                            loaded.test_images.reshape(-1, RECORD - 1)], axis=1)
    assert {row.tobytes() for row in whole} == {row.tobytes() for row in records[50_000:]}
    digests = [hashlib.sha256(image.tobytes()).digest() for image in loaded.test_images]
    assert digests == sorted(digests)


def test_both_forms_and_any_order_are_one_data_set(binary, records, tmp_path):
    shuffled = records.copy()
    shuffled[:50_000] = shuffled[np.random.default_rng(0).permutation(50_000)]
    (tmp_path / "cifar10").mkdir()
    write_sheets(tmp_path / "cifar10", shuffled)
    sheets, plain = load("cifar-10", tmp_path), load("cifar-10", binary)
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(sheets, name), getattr(plain, name)), name


def refused(folder, message):
    with pytest.raises(DataError, match=message) as error:
        load("cifar-10", folder)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
def test_truncated_binary(records, tmp_path, name):
    write_binary(tmp_path, records)
    (tmp_path / name).write_bytes(records[:9999].tobytes())
    refused(tmp_path, rf"{name}: must have 30730000 bytes, not 30726927; fetch it again$")


def test_wrong_label(records, tmp_path):
    records = records.copy()
    records[3, 0] = 10
    write_binary(tmp_path, records)
    refused(tmp_path, r"the training labels must lie in 0\.\.9, not 10")


def test_damaged_sheets(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name in cifar.FORMS[1]:
        (tmp_path / name).write_bytes(b"not what it says")
    refused(tmp_path, "labels.npz: can't be read")
    np.savez(tmp_path / "labels.npz", y_train=np.zeros(3, np.uint8), y_test=np.zeros(3, np.uint8))
    refused(tmp_path, "y_train and y_test must be 60000 bytes together")
    np.savez(tmp_path / "labels.npz", y_train=np.array([{}]), y_test=np.zeros(3, np.uint8))
    refused(tmp_path, "labels.npz: can't be read")  # a pickle is not opened
    np.savez(tmp_path / "labels.npz", y_train=np.zeros(50_000, np.uint8),
             y_test=np.zeros(10_000, np.uint8))
    refused(tmp_path, "train_0.png: can't be read")
    Image.new("L", (3200, 3200)).save(tmp_path / "train_0.png")
    refused(tmp_path, "train_0.png: must be an RGB image of 3200 x 3200 pixels")
    Image.new("RGB", (3200, 3200)).save(tmp_path / "train_0.png")
    path = tmp_path / "train_0.png"
    path.write_bytes(path.read_bytes()[:500])
    refused(tmp_path, "train_0.png: can't be read")


def test_missing(tmp_path):
    refused(tmp_path, "has no cifar-10 data; it must hold data_batch_1.bin, .*; or train_0.png, "
                      ".*, in a folder cifar-10 or directly$")


def test_download(binary, records, tmp_path, monkeypatch):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as members:
        for name in ("readme.html", *cifar.FORMS[0]):
            content = (binary / name).read_bytes() if name.endswith(".bin") else b"hello"
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.delenv("SPIKELOOM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "_CIFAR_SOURCE", (archive.as_uri(), digest[::-1]))
    with pytest.raises(DataError, match="the checksum differs"):
        load("cifar-10")
    monkeypatch.setattr(datasets, "_CIFAR_SOURCE", (archive.as_uri(), digest))
    assert len(load("cifar-10").test_labels) == 10_000
    archive.unlink()
    assert len(load("cifar-10").train_labels) == 50_000
    assert sorted(path.name for path in (tmp_path / "cache/spikeloom/cifar-10").iterdir()) == (
        sorted(cifar.FORMS[0]))


def test_a_member_that_is_no_file(tmp_path):
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type = tarfile.DIRTYPE
        members.addfile(member)
    with pytest.raises(DataError, match=r"cifar\.tar\.gz: data_batch_1\.bin is not a file"):
        cifar.unpack(archive, tmp_path)
