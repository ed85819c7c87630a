"""Scaling of intensities against known values."""

from __future__ import annotations

import numpy as np

from models.data.scaling import equalized, scaled


def test_equalized_values_are_ranks_and_black_stays() -> None:
    image = np.array([[0.0, 0.1, 0.2], [0.2, 0.9, 0.9]], np.float32)
    np.testing.assert_allclose(equalized(image), [[0, 0.2, 0.6], [0.6, 1, 1]], atol=1e-6)
    assert not equalized(np.zeros((4, 4), np.float32)).any()


def test_contrast_of_colours_keeps_the_hue() -> None:
    light = np.linspace(0.2, 0.4, 64, dtype=np.float32).reshape(8, 8).repeat(8, 0).repeat(8, 1)
    image = np.stack([light, light * 0.5, light * 0.25])
    for how in ("equalize", "clahe"):
        found = scaled(image, how)
        np.testing.assert_allclose(found[1], found[0] * 0.5, atol=1e-5)
        assert np.ptp(found[0]) > 2 * np.ptp(light)


def test_clahe_of_a_flat_image_is_the_image() -> None:
    flat = np.full((32, 32), 0.5, np.float32)
    np.testing.assert_array_equal(scaled(flat, "clahe"), flat)
