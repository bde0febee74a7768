import numpy as np
import pytest

from host.picture import picture_of


@pytest.mark.parametrize("shape, drawn", [
    ((1, 28, 28), (1, 28, 28)), ((3, 32, 32), (3, 32, 32)), ((2, 5, 7), (2, 5, 7)),
    ((64, 1, 1), (1, 8, 8)), ((1, 784, 1), (1, 28, 28)), ((1, 1, 187), (1, 11, 17)),
    ((640, 1, 1), (1, 20, 32)), ((7, 1, 1), (1, 1, 7)), ((1, 1, 1), (1, 1, 1)),
    ((28, 10, 1), (1, 10, 28)), ((2, 1, 9), (2, 1, 9))])
def test_planes_rows_and_columns(shape, drawn):
    picture = picture_of(shape)
    assert (picture.planes, picture.height, picture.width) == drawn


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 2, 5), (12, 1, 1), (1, 12, 1), (5, 3, 1)])
def test_there_and_back(shape):
    picture, image = picture_of(shape), np.arange(np.prod(shape)).reshape(shape)
    pixels = picture.to_pixels(image.ravel().tolist())
    assert sorted(pixels) == list(range(image.size))
    assert (picture.to_input(pixels) == image).all()


def test_a_row_is_an_element():
    picture = picture_of((5, 3, 1))
    image = picture.to_input(list(range(15)))
    assert image[:, 1, 0].tolist() == [5, 6, 7, 8, 9]
