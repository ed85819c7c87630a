from __future__ import annotations

import numpy as np

from models.anatomy.residual import CELLS, LEAST_DEVIATION, brightness, normal_chest, residual

RANDOM = np.random.default_rng(0)
GRADIENT = np.linspace(0.2, 0.6, CELLS, dtype=np.float32)[:, None].repeat(CELLS, 1)
LUNGS = np.zeros((CELLS, CELLS), np.float32)
LUNGS[8:40, 6:42] = 1
NORMAL = normal_chest(
    (GRADIENT + RANDOM.normal(0, 0.05, (400, CELLS, CELLS))).astype(np.float32), LUNGS[None].repeat(400, 0)
)


def test_brightness_is_the_mean_of_a_cell() -> None:
    crop = RANDOM.random((2 * CELLS, 2 * CELLS)).astype(np.float32)
    assert brightness(crop)[3, 5] == np.float32(crop[6:8, 10:12].mean(dtype=np.float64))


def test_the_normal_chest_is_mean_and_deviation_of_the_lungs() -> None:
    np.testing.assert_allclose(NORMAL[0][10:38, 8:40], GRADIENT[10:38, 8:40], atol=0.02)
    np.testing.assert_allclose(NORMAL[1][10:38, 8:40], 0.05, atol=0.01)


def test_only_what_differs_at_its_place_is_left() -> None:
    opaque = GRADIENT.copy()
    opaque[20:26, 10:16] += 0.16
    found = residual(opaque, NORMAL, LUNGS)
    np.testing.assert_allclose(found[20:26, 10:16], 0.16 / (0.05 + LEAST_DEVIATION), rtol=0.3)
    assert np.abs(found[28:38, 20:40]).max() < 0.5


def test_an_image_that_is_brighter_all_over_is_no_finding() -> None:
    np.testing.assert_allclose(
        residual(GRADIENT + 0.1, NORMAL, LUNGS)[LUNGS > 0], residual(GRADIENT, NORMAL, LUNGS)[LUNGS > 0], atol=0.6
    )
