"""The grid, against phantoms whose lesion has a known place in the patient."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.inputs.grid import Grid, to_standard

ORIENTATIONS = [*product("LR", "HF"), *product("HF", "LR")]
SHAPES = [(300, 300, (1.0, 1.0)), (401, 257, (1.0, 1.0)), (233, 350, (0.2, 0.31)), (1023, 777, (0.5, 0.2))]


def places(rows: int, columns: int, spacing: tuple[float, float], orientation: tuple[str, str]) -> np.ndarray:
    """(rows, columns, 2): how far each stored pixel's centre lies to the patient's left and to the feet, 0..1."""
    across, down = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    along = {}
    for letter, values in ((orientation[0], across[None, :]), (orientation[1], down[:, None])):
        axis = "left" if letter in "LR" else "feet"
        along[axis] = np.broadcast_to(values if letter in "LF" else 1 - values, (rows, columns))
    return np.stack([along["left"], along["feet"]], axis=-1)


def lesion(place: np.ndarray, at: tuple[float, float] = (0.7, 0.3), width: float = 0.05) -> np.ndarray:
    return np.exp(-((place - np.array(at)) ** 2).sum(axis=-1) / (2 * width**2))


def centroid(image: np.ndarray) -> np.ndarray:
    """(row, column) with the corner of the first pixel at 0."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def source_point(grid: Grid, row: float, column: float) -> tuple[float, float]:
    """The stored (row, column) coordinate of an input coordinate; both with the top left corner at 0."""
    height, width = (grid.columns, grid.rows) if grid.transpose else (grid.rows, grid.columns)
    row, column = (row - grid.row_offset) * grid.row_scale, (column - grid.column_offset) * grid.column_scale
    row = height - row if grid.flip_rows else row
    column = width - column if grid.flip_columns else column
    return (column, row) if grid.transpose else (row, column)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cells", [16, 13])
def test_a_lesion_goes_to_the_input_and_its_saliency_comes_back_to_it(orientation, shape, cells):
    rows, columns, spacing = shape
    image = lesion(places(rows, columns, spacing, orientation))
    grid = Grid.fit(rows, columns, (320, 320), spacing, orientation)
    seen = grid.to_input(image)
    row, column = centroid(seen)
    # In the input the lesion is where the patient has it: 0.7 to the left, 0.3 down within the content.
    width, height = 320 - 2 * grid.column_offset, 320 - 2 * grid.row_offset
    assert (column - grid.column_offset) / width == pytest.approx(0.7, abs=0.003)
    assert (row - grid.row_offset) / height == pytest.approx(0.3, abs=0.003)
    assert source_point(grid, row, column) == pytest.approx(tuple(centroid(image)), abs=0.5)
    edges = np.linspace(0, 320, cells + 1).astype(int)
    spans = [slice(*span) for span in pairwise(edges)]
    saliency = np.array([[seen[lines, across].mean() for across in spans] for lines in spans])
    found = np.maximum(grid.to_source(saliency) - 0.1 * saliency.max(), 0)
    half_a_cell = 0.5 * 320 / cells * np.array([grid.row_scale, grid.column_scale][:: -1 if grid.transpose else 1])
    assert found.shape == (rows, columns)
    assert (np.abs(centroid(found) - centroid(image)) < half_a_cell).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_ramp_comes_back_within_a_hundredth_of_a_pixel(orientation, shape):
    rows, columns, spacing = shape
    for ramp in np.mgrid[:rows, :columns].astype(np.float64):
        grid = Grid.fit(rows, columns, (301, 287), spacing, orientation)
        there_and_back = grid.to_source(grid.to_input(ramp))
        margin = int(np.ceil(3 * max(grid.row_scale, grid.column_scale, 1)))
        error = np.abs(there_and_back - ramp)[margin:-margin, margin:-margin]
        assert error.max() < 0.01


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_of_cells_come_back_where_a_map_of_them_does(orientation, shape):
    rows, columns, spacing = shape
    grid = Grid.fit(rows, columns, (320, 320), spacing, orientation)
    numbers = np.zeros((64, 64), np.uint8)
    numbers[24:40, 30:50] = 5
    found = grid.numbers_to_source(numbers)
    assert found.shape == (rows, columns)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 5}
    as_a_map = grid.to_source(numbers == 5) >= 0.5
    assert ((found == 5) ^ as_a_map).mean() < 0.005
    assert centroid(found == 5) == pytest.approx(centroid(as_a_map), abs=0.5)


def test_an_image_of_the_inputs_size_stays_as_it_is():
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    grid = Grid.fit(64, 64, (64, 64))
    np.testing.assert_array_equal(grid.to_input(image), image)
    np.testing.assert_array_equal(grid.to_source(image), image)


@pytest.mark.parametrize("period", [2, 3, 4, 5])
def test_reduction_does_not_alias_fine_stripes(period):
    stripes = np.broadcast_to((np.arange(2000) % period == 0).astype(np.float32), (2000, 2000))
    seen = Grid.fit(2000, 2000, (300, 300)).to_input(stripes)[20:-20, 20:-20]
    assert seen.mean() == pytest.approx(1 / period, abs=0.01)
    assert seen.std() < 0.03  # the stripes themselves have 0.4 to 0.5


def test_the_letterbox_is_black_and_keeps_the_aspect_in_millimetres():
    grid = Grid.fit(100, 100, (200, 200), spacing=(0.1, 0.2))  # 10 mm high, 20 mm wide
    seen = grid.to_input(np.ones((100, 100)))
    assert not seen[:50].any()
    assert not seen[150:].any()
    np.testing.assert_allclose(seen[50:150], 1, atol=1e-6)
    disc = lesion(places(100, 100, (0.1, 0.2), ("L", "F")) * [2, 1], at=(1.0, 0.5), width=0.1)
    rows, columns = np.nonzero(grid.to_input(disc) > 0.5)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=1)


def test_what_lies_in_the_letterbox_never_leaks_into_the_image():
    grid = Grid.fit(100, 300, (320, 320))  # content in the rows 106.7 to 213.3
    saliency = np.full((10, 10), 100.0)
    saliency[3] = np.nan
    saliency[4:6] = 1.0  # the rows 3 and 6 are centred at 112 and 208: inside
    saliency[3] = saliency[6] = 1.0
    np.testing.assert_array_equal(grid.to_source(saliency), np.ones((100, 300)))


def test_a_content_without_any_cell_centre_takes_the_nearest_cell():
    saliency = np.zeros((4, 4))
    saliency[2] = 1
    assert Grid.fit(10, 1000, (320, 320)).to_source(saliency).min() == 1


def test_borders_are_continued_and_what_is_no_number_counts_as_nothing():
    grid = Grid.fit(501, 333, (128, 128))
    inside = grid.to_input(np.full((501, 333), 7.0))
    assert set(np.unique(np.round(inside, 4))) == {0.0, 7.0}
    saliency = np.full((8, 8), 2.0)
    np.testing.assert_allclose(grid.to_source(saliency), 2.0, atol=1e-6)
    saliency[:, 3] = np.nan
    found = grid.to_source(saliency)
    assert np.isfinite(found).all()
    assert found.min() == pytest.approx(0, abs=0.3)


@given(
    rows=st.integers(1, 400),
    columns=st.integers(1, 400),
    ratio=st.floats(0.2, 5),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_the_contents_corners_are_the_images_corners(rows, columns, ratio, orientation):
    grid = Grid.fit(rows, columns, (224, 320), (1.0, ratio), orientation)
    assert min(grid.row_offset, grid.column_offset) == pytest.approx(0, abs=1e-9)
    corners = {
        tuple(np.round(source_point(grid, row, column), 6) + 0.0)
        for row in (grid.row_offset, 224 - grid.row_offset)
        for column in (grid.column_offset, 320 - grid.column_offset)
    }
    assert corners == {(0.0, 0.0), (0.0, float(columns)), (float(rows), 0.0), (float(rows), float(columns))}


@pytest.mark.parametrize("orientation", [(), ("", ""), ("L",), ("A", "F"), ("L", "L"), ("LA", "FP"), "L"])
def test_an_orientation_that_says_nothing_of_a_frontal_view_counts_as_the_standard_one(orientation):
    assert to_standard(orientation) == (False, False, False)


def test_another_image_is_refused():
    with pytest.raises(ValueError, match="not"):
        Grid.fit(10, 20, (32, 32)).to_input(np.zeros((20, 10)))
