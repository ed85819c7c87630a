from __future__ import annotations

import json
from functools import cache

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from models import packages
from models.anatomy.ct.grid import resampled
from models.errors import InputError
from tests.models.shared_data import CHEST_CT, needs_chest_ct

SPACING = (2.0, 1.5, 1.5)
SHAPE = (100, 180, 220)
SPHERE_MM = (90.0, 130.0, 90.0)  # z, y, x, in the right lung
Array = NDArray[np.float32]


def grid() -> list[Array]:
    """Millimetres (z, y, x) of the voxels' centres, from the volume's first corner."""
    axes = [(np.arange(count) + 0.5) * step for count, step in zip(SHAPE, SPACING, strict=True)]
    return [axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij", sparse=True)]


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
    squares = [((axis - c) / r) ** 2 for axis, c, r in zip(grid(), centre, radii, strict=True)]
    inside: NDArray[np.bool_] = squares[0] + squares[1] + squares[2] <= 1
    return inside


def chest() -> Array:
    """A body with two lungs, each with a vessel 8 mm wide and 110 mm long, and noise."""
    volume = np.full(SHAPE, -1000, np.float32)
    volume[ellipsoid((100, 135, 165), (1000, 125, 155))] = 40
    for x in (90, 240):
        volume[ellipsoid((100, 135, x), (85, 90, 60))] = -850
    z, y, x = grid()
    for centre in (75, 225):
        volume[((y - 110) ** 2 + (x - centre) ** 2 <= 16) & (abs(z - 100) <= 55)] = 50
    return volume + np.random.default_rng(0).normal(0, 20, SHAPE).astype(np.float32)


def with_sphere(volume: Array, centre: tuple[float, float, float], radius: float) -> Array:
    volume[ellipsoid(centre, (radius, radius, radius))] = 30
    return volume


def centre_of(saliency: Array, extent: tuple[float, ...]) -> NDArray[np.float64]:
    index = np.argwhere(saliency == saliency.max()) + 0.5
    return index.mean(0) * np.array(extent) / saliency.shape


EXTENT = tuple(count * step for count, step in zip(SHAPE, SPACING, strict=True))


@pytest.mark.parametrize("radius", [5.0, 8.0, 14.0])
def test_a_sphere_is_found_where_it_is(radius: float) -> None:
    model = packages.load(packages.find("chest-ct"))
    found = model.predict(with_sphere(chest(), SPHERE_MM, radius), SPACING)
    assert found.labels == ("Nodule",)
    assert found.probabilities[0] > 0.9
    assert found.probabilities[0] == pytest.approx(found.saliency.max(), abs=0.002)
    np.testing.assert_allclose(centre_of(found.saliency[0], EXTENT), SPHERE_MM, atol=1.5)
    volume_mm3 = (found.saliency > 0).mean() * np.prod(EXTENT)
    assert 0.7 * radius < (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3) < 1.2 * radius


def test_a_sphere_that_touches_the_pleura_is_found() -> None:
    model = packages.load(packages.find("chest-ct"))
    at = (100.0, 135.0, 38.0)  # the lung ends at x = 30 mm
    found = model.predict(with_sphere(chest(), at, 9.0), SPACING)
    assert found.probabilities[0] >= model.card.labels[0].operating_point
    np.testing.assert_allclose(centre_of(found.saliency[0], EXTENT), at, atol=3)


def test_vessels_are_no_candidates() -> None:
    model = packages.load(packages.find("chest-ct"))
    found = model.predict(chest(), SPACING)
    assert found.probabilities[0] == pytest.approx(0.001)
    assert found.saliency.max() == 0


def test_a_volume_without_lungs_is_refused() -> None:
    model = packages.load(packages.find("chest-ct"))
    with pytest.raises(InputError, match="No lungs were found"):
        model.predict(np.full((40, 128, 128), 40, np.float32), (2.5, 1.5, 1.5))


@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.7), (1.0, 0.9, 1.3), (5.0, 2.0, 2.0)])
def test_the_working_grid_covers_exactly_the_same_box(spacing: tuple[float, float, float]) -> None:
    """A plane gradient keeps its value at each place, first and last cells apart."""
    shape = (40, 61, 83)
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    image = resampled((z + 2 * y + 3 * x).astype(np.float32), spacing, 1.5)
    extent = [n * s for n, s in zip(shape, spacing, strict=True)]
    np.testing.assert_allclose(np.multiply(image.GetSize(), image.GetSpacing())[::-1], extent)
    count = image.GetSize()[::-1]
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) * e / n for n, e in zip(count, extent, strict=True)], indexing="ij")
    import SimpleITK as sitk

    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(sitk.GetArrayFromImage(image)[inner], (z + 2 * y + 3 * x)[inner], atol=0.1)


@cache
def lidc() -> tuple[Array, float]:
    """HU (133, 512, 512) from the lowest slice to the highest, and the z of the first in mm."""
    slices = [pydicom.dcmread(path) for path in sorted((CHEST_CT / "dicom").iterdir())]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    volume = np.stack([one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices])
    return volume.astype(np.float32), float(slices[0].ImagePositionPatient[2])


@needs_chest_ct
def test_the_nodule_of_lidc_idri_0001_is_found_and_nothing_else() -> None:
    volume, first_z = lidc()
    notes = json.loads((CHEST_CT / "nodule_annotations.json").read_text())["annotations"]
    points = np.array([((c["z"] - first_z) / 2.5, y, x) for n in notes for c in n["contours"] for x, y in c["xy"]])
    model = packages.load(packages.find("chest-ct"))
    found = model.predict(volume, (2.5, 0.703125, 0.703125))
    assert found.probabilities[0] > model.card.labels[0].operating_point
    inside = (np.argwhere(found.saliency[0] > 0) + 0.5) * np.array(volume.shape) / found.saliency.shape[1:]
    assert (abs(inside.mean(0) - points.mean(0) - 0.5) < (2, 5, 5)).all()
    assert (inside >= points.min(0) - 3).all()  # all that is marked is this nodule
    assert (inside <= points.max(0) + 4).all()
