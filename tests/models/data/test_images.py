from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from models.data.images import read_fitted, read_image


def test_an_image_keeps_its_shape_and_a_point_its_place(tmp_path: Path) -> None:
    pixels = np.zeros((100, 200), np.uint8)
    pixels[60:80, 150:160] = 255
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    image, letterbox = read_fitted(path, (64, 64))
    assert image.shape == (64, 64)
    assert image[:16].max() == image[48:].max() == 0  # letterbox
    assert image.max() == pytest.approx(1, abs=0.05)
    y, x = (np.argwhere(image > 0.5) + 0.5).mean(0)
    np.testing.assert_allclose(letterbox.in_file((x, y)), (155, 70), atol=2)


def test_sixteen_bits_keep_their_scale(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(path)
    np.testing.assert_allclose(read_image(path, (8, 8)), 0.5, atol=1e-3)


def test_dicom_is_read_too() -> None:
    path = get_testdata_file("CT_small.dcm")
    image = read_image(Path(str(path)), (64, 64))
    assert 0 <= image.min() < 0.05
    assert image[0, 0] < 0.1 < image[32, 32]  # air in the corner, the body in the middle
