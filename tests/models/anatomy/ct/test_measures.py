"""Measures of ellipsoids whose size is known, on anisotropic grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anatomy.ct.measures import axes_mm, measured
from models.errors import InputError

SPACING = (2.5, 0.7, 0.7)


def ellipsoid(
    radii: tuple[float, float, float], spacing: tuple[float, float, float], turn: float = 0.0
) -> NDArray[np.bool_]:
    """An ellipsoid of these radii (z, y, x) in mm, turned in its axial plane."""
    reach = max(radii) + 2 * max(spacing)
    z, y, x = (np.arange(-round(reach / step), round(reach / step) + 1) * step for step in spacing)
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    y, x = y * math.cos(turn) - x * math.sin(turn), y * math.sin(turn) + x * math.cos(turn)
    inside: NDArray[np.bool_] = (z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2 <= 1
    return inside


@pytest.mark.parametrize("turn", [0.0, 0.4, math.pi / 4, 1.3])
def test_ellipsoid(turn: float) -> None:
    mask = ellipsoid((15.0, 6.0, 10.0), SPACING, turn)
    hu = np.where(mask, 40.0, -850.0).astype(np.float32)
    found = measured(mask, hu, SPACING)
    assert found.long_axis_mm == pytest.approx(20.0, abs=0.7)
    assert found.short_axis_mm == pytest.approx(12.0, abs=0.7)
    assert found.volume_ml == pytest.approx(4 / 3 * math.pi * 15 * 6 * 10 / 1000, rel=0.02)
    assert found.equivalent_diameter_mm == pytest.approx(2 * (15 * 6 * 10) ** (1 / 3), rel=0.01)
    assert found.mean_hu == pytest.approx(40.0)
    assert found.largest_slice == mask.shape[0] // 2


def test_long_axis_is_of_the_axial_slice() -> None:
    """A region that is long from foot to head has the axes of its widest slice, and its whole volume."""
    mask = ellipsoid((30.0, 5.0, 5.0), (3.0, 0.6, 1.2))
    found = measured(mask, np.zeros(mask.shape, np.float32), (3.0, 0.6, 1.2))
    assert found.long_axis_mm == pytest.approx(10.0, abs=1.2)
    assert found.short_axis_mm == pytest.approx(10.0, abs=1.2)
    assert found.volume_ml == pytest.approx(4 / 3 * math.pi * 30 * 25 / 1000, rel=0.03)


def test_mean_hu_is_of_the_region_alone() -> None:
    mask = np.zeros((3, 5, 5), np.bool_)
    mask[1, 2, 2:4] = True
    hu = np.full(mask.shape, -900.0, np.float32)
    hu[1, 2, 2:4] = (10.0, 50.0)
    found = measured(mask, hu, (1.0, 1.0, 2.0))
    assert (found.mean_hu, found.volume_ml, found.largest_slice) == (30.0, 0.004, 1)
    assert (found.long_axis_mm, found.short_axis_mm) == pytest.approx((4.0, 1.0))


def test_one_voxel() -> None:
    mask = np.zeros((1, 4, 4), np.bool_)
    mask[0, 0, 3] = True
    found = measured(mask, mask * 1.0, (5.0, 0.5, 2.0))
    assert (found.long_axis_mm, found.short_axis_mm) == pytest.approx((2.0, 0.5))


def test_short_axis_of_a_triangle() -> None:
    """The chord at the corner beside the long side, not the extent of the area."""
    rows, columns = np.mgrid[:60, :100]
    assert axes_mm(rows * 2 <= np.minimum(columns, 99 - columns), (1.0, 1.0)) == pytest.approx((100, 25.5), abs=1.0)


def test_two_parts_in_a_slice_count_as_one_region() -> None:
    area = np.zeros((3, 30), np.bool_)
    area[1, [2, 27]] = True
    assert axes_mm(area, (1.0, 1.0))[0] == pytest.approx(26.0)


def test_bad_regions() -> None:
    volume = np.zeros((3, 4, 5), np.float32)
    with pytest.raises(InputError, match="without voxels"):
        measured(np.zeros(volume.shape, np.bool_), volume, SPACING)
    with pytest.raises(InputError, match=r"shape \(3, 4, 4\)"):
        measured(np.ones((3, 4, 4), np.bool_), volume, SPACING)
