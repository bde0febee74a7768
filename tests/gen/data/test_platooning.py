import numpy as np
import pytest

from gen.data import datasets, platooning
from gen.errors import DataError

HEADER = "\ufeffN\tF0\tPER\td0\tv0\tcollision\n"


def table(folder, rows, header=HEADER):
    (folder / platooning.FILE).write_text(
        header + "".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return folder


def some(count):
    rng = np.random.default_rng(0)
    low, high = platooning._RANGES.T
    return [(*row, k % 2) for k, row in enumerate(rng.uniform(low, high, (count, 5)))]


def test_measurements_arrive_one_after_the_other(tmp_path):
    rows = some(50)
    x, y, test_x, test_y = platooning.read(table(tmp_path, rows))
    assert (x.shape, test_x.shape) == ((40, 5, 5, 1), (10, 5, 5, 1))
    assert x.dtype == np.uint8
    assert (len(y), len(test_y)) == (40, 10)
    low, high = platooning._RANGES.T
    scaled = np.round((np.array(rows)[:, :5] - low) / (high - low) * 255)
    both = np.concatenate([x, test_x])[..., 0]
    assert (both * (1 - np.eye(5, dtype=np.uint8)) == 0).all()
    assert np.array_equal(np.sort(both.sum(axis=2), axis=0), np.sort(scaled, axis=0))
    again = platooning.read(tmp_path)
    assert all(map(np.array_equal, again, (x, y, test_x, test_y)))


def test_the_data_set(tmp_path):
    table(tmp_path, some(50))
    data = datasets.load("platooning", tmp_path)
    assert (data.name, data.pixel_max, len(data.test_labels)) == ("platooning", 255, 10)


@pytest.mark.parametrize("rows, header, message", [
    (some(5), "a\tb\n", "is not the data of collisions"), ([], HEADER, "is not the data"),
    ([(4, -4, 0.3, 7, 17)], HEADER, "is not the data"),
    ([(4, -4, 0.3, 7, 17, 2)], HEADER, "a collision is neither 0 nor 1"),
    ([(4, -4, "nan", 7, 17, 1)], HEADER, "a measurement is no number"),
    ([(4, -4, 0.3, 7, 17000, 1)], HEADER, "a measurement is out of range"),
    ([(4, -4, "x", 7, 17, 1)], HEADER, "can't be read as a table"),
    ([(4, -4, 0.3, 7, 17, 1), (4, -4)], HEADER, "can't be read as a table")])
def test_other_files_are_refused(rows, header, message, tmp_path):
    with pytest.raises(DataError, match=message):
        datasets.load("platooning", table(tmp_path, rows, header))


def test_it_is_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.delenv("SPIKELOOM_DATA", raising=False)
    with pytest.raises(DataError, match="platooning is not downloaded: fetch collision_dataset"):
        datasets.load("platooning")
    with pytest.raises(DataError, match=r"it must hold collision_dataset\.txt"):
        datasets.load("platooning", tmp_path)
