import numpy as np
import pytest
import torch

from gen.data import datasets, sequences

IMAGES = np.arange(2 * 28 * 28).reshape(2, 1, 28, 28)


def test_rows_are_elements():
    result = sequences.rows(28, 28).read(IMAGES)
    assert result.shape == (2, 28, 28, 1)
    assert np.array_equal(result[1, :, 3, 0], IMAGES[1, 0, 3])


def test_pixels_are_elements():
    result = sequences.pixels(28, 28).read(IMAGES)
    assert result.shape == (2, 1, 784, 1)
    assert np.array_equal(result[1, 0, :, 0], IMAGES[1].reshape(-1))


def test_the_permutation_is_always_the_same():
    result = sequences.permuted(28, 28).read(IMAGES)
    assert result[0, 0, :6, 0].tolist() == [286, 671, 245, 374, 610, 178]
    assert sorted(result[0, 0, :, 0]) == list(range(784))
    assert np.array_equal(result[1] - result[0], np.full((1, 784, 1), 784))


@pytest.mark.parametrize("order", [sequences.rows, sequences.pixels, sequences.permuted])
@pytest.mark.parametrize("kind", [np.array, torch.from_numpy])
def test_images_come_back(order, kind):
    images = kind(np.arange(3 * 5 * 7).reshape(3, 1, 5, 7))
    reading = order(5, 7)
    assert (reading.images(reading.read(images)) == images).all()
    assert type(reading.read(images)) is type(images)


@pytest.mark.parametrize("name", datasets.SEQUENCES)
def test_every_sequence_has_a_source(name):
    assert datasets.SEQUENCES[name][0] in datasets.DATASETS


def test_digits_row_by_row():
    digits, rows = datasets.load("digits"), datasets.load("digits-rows")
    assert rows.name == "digits-rows"
    assert rows.test_images.shape == (len(digits.test_images), 8, 8, 1)
    assert np.array_equal(rows.train_images[:, :, 2, 0], digits.train_images[:, 0, 2])
    assert np.array_equal(rows.test_labels, digits.test_labels)
