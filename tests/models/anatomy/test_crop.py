from __future__ import annotations

import numpy as np
import pytest

from models.anatomy.crop import Crop
from models.anatomy.lungs import lungs_of
from tests.models.anatomy.phantoms import LEFT, RIGHT, SIDE, ellipse, probability

LUNGS = lungs_of(probability())
CROP = Crop.of(LUNGS)
INPUT = 512


def gaussian(row: float, column: float, width: float = 12.0) -> np.ndarray:
    rows, columns = np.mgrid[:INPUT, :INPUT] + 0.5
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)).astype(np.float32)


def test_the_square_holds_both_lungs_and_follows_them() -> None:
    rows, columns = np.nonzero(LUNGS.both)
    half = CROP.side / 2
    for low, high, centre in ((columns.min(), columns.max(), CROP.x), (rows.min(), rows.max(), CROP.y)):
        assert centre - half < low / SIDE < (high + 1) / SIDE < centre + half
    moved = lungs_of(probability(ellipse((RIGHT[0] + 6, RIGHT[1] + 3)), ellipse((LEFT[0] + 6, LEFT[1] + 3))))
    found = Crop.of(moved)
    assert (found.x - CROP.x, found.y - CROP.y) == (pytest.approx(3 / SIDE), pytest.approx(6 / SIDE))
    assert Crop.of(lungs_of(np.zeros((SIDE, SIDE), np.float32))) == Crop(0.5, 0.5, 1.0)


@pytest.mark.parametrize(("row", "column"), [(200.0, 150.0), (330.5, 371.0)])
def test_what_is_taken_is_put_back_where_it_was(row: float, column: float) -> None:
    taken = CROP.take(gaussian(row, column), 384)
    lines, across = np.mgrid[:384, :384] + 0.5
    weight = taken.sum()
    y, x = (lines * taken).sum() / weight / 384, (across * taken).sum() / weight / 384
    assert (y - 0.5) * CROP.side + CROP.y == pytest.approx(row / INPUT, abs=0.002)
    assert (x - 0.5) * CROP.side + CROP.x == pytest.approx(column / INPUT, abs=0.002)
    back = CROP.put(taken[None], INPUT)[0]
    lines, across = np.mgrid[:INPUT, :INPUT] + 0.5
    middle = (lines * back).sum() / back.sum(), (across * back).sum() / back.sum()
    assert np.hypot(middle[0] - row, middle[1] - column) < 1


def test_a_map_is_nothing_outside_the_square() -> None:
    placed = CROP.put(np.ones((2, 48, 48), np.float32), 64)
    assert placed.shape == (2, 64, 64)
    assert placed[:, :3].max() == 0.0 < placed[:, 32, 32].min()
    assert placed.mean() == pytest.approx(CROP.side**2, abs=0.03)


def test_brightness_and_contrast_of_the_file_do_not_matter() -> None:
    image = 0.2 + 0.5 * gaussian(240, 200, 60)
    np.testing.assert_allclose(CROP.take(0.4 * image + 0.3, 96), CROP.take(image, 96), atol=1e-3)
    flat = CROP.take(np.full((INPUT, INPUT), 0.5, np.float32), 96)  # noise of a flat image is not made a picture
    assert flat.max() < 0.01


def test_outside_the_image_it_is_black() -> None:
    taken = Crop(0.5, 0.5, 1.5).take(np.linspace(0.5, 1, INPUT * INPUT, dtype=np.float32).reshape(INPUT, INPUT), 96)
    assert taken[:14].max() == 0.0
    assert taken[18:78, 18:78].mean() > 0.3


def test_a_mask_covers_cells_by_their_part() -> None:
    cover = CROP.cover(LUNGS.both, 48)
    assert cover.shape == (48, 48)
    assert 0.0 <= cover.min() < cover.max() <= 1.0
    assert cover.mean() * CROP.side**2 == pytest.approx(LUNGS.both.mean(), rel=0.03)
