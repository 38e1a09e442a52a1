"""The data set of colours: what a row says of a pixel, and that no pixel is in two splits."""

from typing import Any

import numpy as np
import pytest

from colchis_steps._data import colours as _colours
from colchis_steps._data.sets import DataSet, colours


@pytest.fixture(scope="module", params=["", "transfer"])
def data(request: pytest.FixtureRequest) -> DataSet:
    return colours(None, request.param)


def chroma(name: str) -> Any:
    red, green, blue = (int(name[at : at + 2], 16) for at in (1, 3, 5))
    return _colours.luminance_and_chroma(np.array([[[red, green, blue]]], float))[1][0, 0]


def test_shrinking_gives_means() -> None:
    image = np.arange(5 * 10 * 3, dtype=float).reshape(5, 10, 3)
    small = _colours.shrunk(image, 4)
    assert small.shape == (2, 4, 3)
    assert small[0, 0] == pytest.approx(image[:2, :2].mean(axis=(0, 1)))
    assert (small * 0 + 1).mean() == 1
    assert _colours.shrunk(image, 10) == pytest.approx(image)


def test_luminance_and_chroma_make_the_colour_again() -> None:
    colour = np.array([[[200.0, 90.0, 40.0]]])
    grey, found = _colours.luminance_and_chroma(colour)
    red, blue = grey + found[..., 1] / 0.713, grey + found[..., 0] / 0.564
    green = (grey - 0.299 * red - 0.114 * blue) / 0.587
    assert np.stack([red, green, blue], axis=-1) == pytest.approx(colour)


def test_a_row_holds_the_pixel_and_what_surrounds_it_near_and_far() -> None:
    grey = np.arange(40 * 50, dtype=float).reshape(40, 50) % 251
    rows = _colours.surroundings(grey).reshape(40, 50, 9, 9, 2)
    assert rows[20, 20, :, :, 0] == pytest.approx(grey[16:25, 16:25])
    assert rows[20, 20, :, :, 1] == pytest.approx(grey[4:37:4, 4:37:4])
    assert rows[0, 0, 0, 0, 1] == grey[0, 0]  # the edge goes on


def test_transferred_colours_have_the_others_mean_and_spread() -> None:
    random = np.random.default_rng(7)
    one, other = random.normal(3, 2, (6, 7, 2)), random.normal(-9, 5, (8, 4, 2))
    found = _colours.transferred([one, other])
    for made, wanted in zip(found, (other, one), strict=True):
        assert made.mean(axis=(0, 1)) == pytest.approx(wanted.mean(axis=(0, 1)))
        assert made.std(axis=(0, 1)) == pytest.approx(wanted.std(axis=(0, 1)))


def test_classes_are_named_by_their_colour() -> None:
    for cell in ([0, 0], [-3, 2], [2, 1]):
        assert chroma(_colours.colour(np.array(cell))) == pytest.approx(np.array(cell) * _colours.CELL, abs=1)


def test_rows_of_one_block_are_in_one_split(data: DataSet) -> None:
    assert sum(len(rows) for rows in data.splits.values()) == len(data.values) == len(data.labels)
    assert data.values.shape[1:] == (9, 9, 2)
    assert data.values.dtype == np.uint8
    assert set(data.labels) == set(range(len(data.classes)))
    assert len(set(data.classes)) == len(data.classes)
    groups = _colours.rows("")[2]
    found = [set(groups[rows]) for rows in data.splits.values()]
    assert sum(len(groups) for groups in found) == len(set.union(*found))
    assert min(len(rows) for rows in data.splits.values()) > 0.08 * len(data.labels)
