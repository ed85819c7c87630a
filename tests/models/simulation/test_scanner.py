"""The scanner: noise of the kernel, noise estimated and drawn again, slices of any plane."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.volumes.volume import Volume
from models.simulation.scanner.acquire import Scan, box_weights, scanned
from models.simulation.scanner.noise import Noise, estimated, kernel_noise
from models.simulation.scanner.slices import Plan, sliced

SPACING = (2.0, 2.0, 2.0)


def centroid(noise: np.ndarray) -> float:
    """Mean spatial frequency in the plane, as a part of Nyquist."""
    power = np.abs(np.fft.fft2(noise)) ** 2
    f = np.fft.fftfreq(noise.shape[-1])
    radius = np.hypot(f[:, None], f[None])
    return float((power.mean(axis=0) * radius).sum() / power.mean(axis=0).sum() / 0.5)


@pytest.mark.parametrize("sharpness", [0.3, 0.9])
def test_noise_has_its_sigma_and_no_mean(sharpness: float) -> None:
    noise = kernel_noise(np.random.default_rng(0), (8, 64, 64), SPACING, 20.0, sharpness)
    assert noise.std() == pytest.approx(20.0, rel=0.01)
    assert abs(noise.mean()) < 0.5


def test_a_sharp_kernel_has_noise_of_higher_frequency() -> None:
    soft, sharp = (
        centroid(kernel_noise(np.random.default_rng(0), (8, 64, 64), SPACING, 20.0, sharpness))
        for sharpness in (0.3, 0.9)
    )
    assert sharp > soft + 0.2


@pytest.mark.parametrize("noise", [Noise(10.0, 1.5, 1.0), Noise(25.0, 2.5, 2.5)])
def test_noise_that_was_drawn_is_found_again(noise: Noise) -> None:
    hu = 40.0 + noise.drawn(np.random.default_rng(1), (24, 80, 80), SPACING)
    found = estimated(hu.astype(np.float32), SPACING)
    assert found.sigma == pytest.approx(noise.sigma, rel=0.25)
    assert found.plane_mm == pytest.approx(noise.plane_mm, rel=0.4)
    assert found.slice_mm == pytest.approx(noise.slice_mm, rel=0.4)


def test_no_soft_tissue_is_no_noise() -> None:
    assert estimated(np.full((8, 32, 32), -900.0, np.float32), SPACING).sigma == 0.0


@pytest.mark.parametrize("width", [0.3, 1.0, 1.25, 2.5])
def test_a_thick_slice_averages_its_neighbours(width: float) -> None:
    weights = box_weights(width)
    assert weights.sum() == pytest.approx(1.0)
    assert len(weights) == (1 if width <= 1 else 3)
    assert weights[len(weights) // 2] == pytest.approx(1 / max(width, 1.0))


def test_a_scan_stores_whole_numbers_above_its_floor() -> None:
    hu = np.full((6, 32, 32), -995.0, np.float32)
    hu[:, :, 16:] = 3000.0
    stored = scanned(hu, SPACING, Scan(20.0, 0.5, 0.5, 3.0, -1000), np.random.default_rng(0))
    assert stored.dtype == np.int16
    assert stored.min() == -1000
    assert stored.max() == 1535


def ramp() -> Volume:
    """40 x 50 x 60 voxels of 2 x 1.5 x 1 mm whose value is 1000 + x + 2 y + 3 z in mm."""
    z, y, x = np.ogrid[:40, :50, :60]
    x, y, z = x * 1.0 - 30.0, y * 1.5 + 10.0, z * 2.0 - 100.0
    return Volume((1000.0 + x + 2 * y + 3 * z).astype(np.float32), (2.0, 1.5, 1.0), (-30.0, 10.0, -100.0))


@pytest.mark.parametrize(
    "plan", [Plan(5, 3.0, 9, 11, 0.7), Plan(5, 3.0, 9, 11, 0.7, 2.0, 20.0), Plan(5, 2.0, 9, 11, 1, 0, 0, (10, 15))]
)
def test_each_voxel_of_a_slice_is_the_volume_at_its_position(plan: Plan) -> None:
    slices = sliced(ramp(), plan)
    assert slices.row_cosines @ slices.column_cosines == pytest.approx(0.0, abs=1e-12)
    rows, columns = np.mgrid[: plan.rows, : plan.columns] * plan.plane_mm
    for values, corner in zip(slices.values, slices.positions, strict=True):
        x, y, z = (
            c + row * columns + column * rows
            for c, row, column in zip(corner, slices.row_cosines, slices.column_cosines, strict=True)
        )
        assert np.allclose(values, 1000.0 + x + 2 * y + 3 * z, atol=0.01)


def test_a_tilted_gantry_moves_along_the_table() -> None:
    slices = sliced(ramp(), Plan(4, 3.0, 9, 9, tilt=25.0))
    assert np.allclose(np.diff(slices.positions, axis=0), [0.0, 0.0, 3.0])
    assert slices.column_cosines == pytest.approx([0.0, np.cos(np.radians(25)), np.sin(np.radians(25))])
