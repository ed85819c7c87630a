from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.images import read_fitted, read_image
from models.data.letterbox import Letterbox


@pytest.mark.parametrize("file", [(100, 50), (31, 97), (64, 64)])
def test_a_bright_spot_leads_back_to_its_place(tmp_path: Path, file: tuple[int, int]) -> None:
    pixels = np.zeros(file, np.uint8)
    pixels[20:24, 30:34] = 255
    path = tmp_path / "spot.png"
    Image.fromarray(pixels).save(path)
    image, letterbox = read_fitted(path, (256, 256))
    np.testing.assert_array_equal(image, read_image(path, (256, 256)))
    rows, columns = np.nonzero(image > 0.5)
    point = columns.mean() + 0.5, rows.mean() + 0.5
    assert letterbox.in_file(point) == pytest.approx((32, 22), abs=0.3)


def test_cells_lie_where_origin_and_step_say() -> None:
    letterbox = Letterbox.fit((100, 50), (200, 200))
    origin, step = letterbox.cells((8, 8))
    for row, column in ((0, 0), (3, 5), (7, 7)):
        centre = (column + 0.5) * 25, (row + 0.5) * 25
        x, y = letterbox.in_file(centre)
        assert (origin[0] + (row + 0.5) * step[0], origin[1] + (column + 0.5) * step[1]) == pytest.approx((y, x))


def test_a_map_that_rises_evenly_rises_evenly_in_the_file_and_the_black_around_takes_no_part() -> None:
    letterbox = Letterbox.fit((120, 60), (240, 240))
    cells = np.tile(np.arange(24, dtype=np.float32), (24, 1))
    cells[:, :6] = cells[:, 18:] = 99.0  # left and right of the file
    found = letterbox.to_file(cells)
    assert found.shape == (120, 60)
    assert found.max() == 17
    np.testing.assert_allclose(found[:, 5:55], np.tile((np.arange(5, 55) + 0.5) / 5 + 5.5, (120, 1)), atol=1e-4)
