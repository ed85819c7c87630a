"""A crop is taken from where it is said to be, and maps return to the same place."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.anatomy.volumes import slabs
from models.anatomy.volumes.air import chest_box
from models.anatomy.volumes.lattice import Crop, Lattice
from models.anatomy.volumes.slabs import shrunk, taken
from models.anatomy.volumes.working import Working
from models.card import VolumeInput
from models.errors import InputError
from tests.models import chest_volumes as phantoms

SHAPE, SPACING = (70, 88, 120), (3.0, 3.0, 3.0)
HOW = VolumeInput.model_validate(phantoms.CARD["volume"])


def edges(mask: np.ndarray) -> tuple[tuple[float, float], ...]:
    """First and last edge of a mask along each axis, in voxels."""
    spans = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple((float(one[0]), float(one[-1] + 1)) for one in spans)


def test_a_lattice_covers_the_volume_exactly() -> None:
    lattice = Lattice.over((133, 512, 510), (2.5, 0.7, 0.71), (3.0, 1.5, 1.5), (1, 4, 4))
    extents = [count * step for count, step in zip(lattice.shape, lattice.steps, strict=True)]
    assert extents == pytest.approx([133 * 2.5, 512 * 0.7, 510 * 0.71])
    assert [count % share for count, share in zip(lattice.shape, lattice.share, strict=True)] == [0, 0, 0]
    assert lattice.steps == pytest.approx((3.0, 1.5, 1.5), rel=0.02)


def test_what_is_taken_is_what_lies_there() -> None:
    """A block of known place: its voxels in the crop are those of the same millimetres, to a voxel."""
    volume = np.full((60, 70, 80), -800.0, np.float32)
    volume[20:40, 30:50, 40:60] = 100.0
    spacing = (2.0, 1.0, 1.5)
    lattice = Lattice.over(volume.shape, spacing, (2.0, 1.0, 1.5), (1, 2, 2))
    crop = Crop.around(lattice, ((20.0, 110.0), (10.0, 66.0), (15.0, 111.0)), (2, 8, 8))
    found = taken(volume, spacing, crop, 0.0)
    assert found.shape == crop.shape
    inside = edges(found > 0)
    for (low, high), first, start in zip(inside, crop.start, (20, 30, 40), strict=True):
        assert (low + first, high + first) == (start, start + 20)
    np.testing.assert_allclose(
        found, volume[tuple(slice(s, s + n) for s, n in zip(crop.start, crop.shape, strict=True))]
    )


def test_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smoothing and resampling a few slices at a time is resampling all of them."""
    spacing = (2.0, 3.0, 3.0)
    volume = phantoms.chest(3, (69, 40, 50), spacing)
    lattice = Lattice.over(volume.shape, spacing, (3.0, 3.0, 3.0), (1, 1, 1))
    crop = Crop(lattice, (0, 0, 0), lattice.shape, (1, 1, 1))
    found, coarse = [], []
    for some in (7, 1000):
        monkeypatch.setattr(slabs, "SLAB", some)
        found.append(taken(volume, spacing, crop, 4.0))
        coarse.append(sitk.GetArrayFromImage(shrunk(volume, spacing, 6.0)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    np.testing.assert_array_equal(*coarse)
    assert coarse[0].shape == (23, 20, 25)


def test_maps_return_to_their_place() -> None:
    """The hottest cell of a crop's map covers, on the grid of the whole volume, the same millimetres."""
    lattice = Lattice.over(SHAPE, SPACING, (3.0, 3.0, 3.0), (1, 4, 4))
    crop = Crop.around(lattice, ((30.0, 180.0), (60.0, 200.0), (50.0, 300.0)), (2, 16, 16))
    cells = tuple(count // size for count, size in zip(crop.shape, crop.cell, strict=True))
    maps = np.zeros((1, *cells), np.float32)
    hot = (cells[0] // 2, 1, cells[2] - 2)
    maps[(0, *hot)] = 1.0
    whole = crop.put(maps)
    assert whole.shape[1:] == tuple(n // s for n, s in zip(lattice.shape, lattice.share, strict=True))
    mass = whole[0] / whole.sum()
    for axis, (index, size, start, share, step) in enumerate(
        zip(hot, crop.cell, crop.start, lattice.share, lattice.steps, strict=True)
    ):
        along = mass.sum(axis=tuple({0, 1, 2} - {axis}))
        centre = float((along * (np.arange(len(along)) + 0.5)).sum()) * share * step
        assert centre == pytest.approx((start + (index + 0.5) * size) * step, abs=0.01)


def test_the_mean_over_the_crop_stays_and_outside_is_nothing() -> None:
    lattice = Lattice.over(SHAPE, SPACING, (3.0, 3.0, 3.0), (1, 4, 4))
    crop = Crop(lattice, (10, 16, 24), (40, 32, 48), (2, 16, 16))
    maps = np.random.default_rng(0).normal(size=(2, 20, 2, 3)).astype(np.float32)
    whole = crop.put(maps)
    inside = whole[:, 10:50, 4:12, 6:18]
    np.testing.assert_allclose(inside.mean((1, 2, 3)), maps.mean((1, 2, 3)), atol=1e-6)
    assert whole.sum() == pytest.approx(inside.sum(), abs=1e-3)


def test_a_crop_beyond_the_volume_loses_only_what_is_beyond() -> None:
    lattice = Lattice.over((20, 32, 32), (3.0, 3.0, 3.0), (3.0, 3.0, 3.0), (1, 4, 4))
    crop = Crop(lattice, (-2, -4, 0), (24, 48, 32), (2, 16, 16))
    assert crop.put(np.ones((1, 12, 3, 2), np.float32)).tolist() == np.ones((1, 20, 8, 8)).tolist()
    assert np.isfinite(taken(phantoms.chest(0, (20, 32, 32), (3.0,) * 3), (3.0,) * 3, crop, 4.0)).all()


def test_the_box_holds_both_lungs_with_the_margin() -> None:
    volume = phantoms.chest(0, SHAPE, SPACING)
    box, found = chest_box(volume, SPACING, -400.0, 12.0)
    assert found
    for (low, high), (first, last), count in zip(
        box, edges((volume < -400) & body(SHAPE, SPACING)), SHAPE, strict=True
    ):
        assert low == pytest.approx(max(0, 3 * first - 12), abs=6)
        assert high == pytest.approx(min(3 * count, 3 * last + 12), abs=6)


def test_what_lies_beyond_the_box_is_not_seen() -> None:
    """A chest looks alike whether or not the volume was cropped before: nothing of the table or the room is seen."""
    volume = phantoms.chest(0, SHAPE, SPACING)
    lying = volume.copy()
    lying[:, 80:, :] = 900.0
    box = ((20.0, 190.0), (40.0, 220.0), (40.0, 320.0))
    crop = Crop.around(Lattice.over(SHAPE, SPACING, (3.0, 3.0, 3.0), (1, 4, 4)), box, (2, 16, 16))
    found = [taken(one, SPACING, crop, 4.0, box) for one in (volume, lying)]
    np.testing.assert_array_equal(*found)
    assert (taken(lying, SPACING, crop, 4.0) != found[0]).any()


def body(shape: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels well inside the body of a phantom."""
    size = np.array(shape) * spacing
    return phantoms.ellipsoid(shape, spacing, tuple(size / 2), (size[0], 0.42 * size[1], 0.44 * size[2]))


@pytest.mark.parametrize("lung", ["right", "left"])
def test_a_lung_without_air_is_in_the_box_all_the_same(lung: str) -> None:
    """A lung that is full of fluid is seen by where the other one is."""
    both, _ = chest_box(phantoms.chest(0, SHAPE, SPACING), SPACING, -400.0, 12.0)
    one, found = chest_box(phantoms.chest(0, SHAPE, SPACING, (lung,)), SPACING, -400.0, 12.0)
    assert found
    for own, other in zip(one, both, strict=True):
        assert own == pytest.approx(other, abs=10)


def test_a_lung_that_opens_to_the_border_by_a_narrow_way_is_found() -> None:
    """As where a volume was cropped tightly and a thin chest wall was averaged away."""
    volume = phantoms.chest(0, SHAPE, SPACING)
    closed, _ = chest_box(volume, SPACING, -400.0, 12.0)
    volume[34:36, 43:45, :] = -900.0
    opened, found = chest_box(volume, SPACING, -400.0, 12.0)
    assert found
    for own, other in zip(opened, closed, strict=True):
        assert own == pytest.approx(other, abs=8)


def test_a_volume_without_an_aerated_lung_is_refused() -> None:
    for value in (40.0, -1000.0, 0.5):
        with pytest.raises(InputError, match=r"No aerated lung was found: .* or its values are no HU"):
            Working.of(np.full((40, 44, 60), value, np.float32), phantoms.SPACING, HOW, (2, 16, 16), (1, 4, 4))
