from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.anatomy.ct.grid import numbers_stretched, resampled, stretched
from models.anatomy.ct.lungs import drawn_in_volume, lungs_of_air, lungs_of_maps, sides_of, zones_of_volume
from models.anatomy.zones import ZONES
from models.errors import InputError
from models.metrics.masks import dice
from tests.models.ct_phantoms import LEFT, RADII, RIGHT, SHAPE, SPACING, Array, Mask, chest, ellipsoid

TRUTH = (ellipsoid(RIGHT, RADII), ellipsoid(LEFT, RADII))


def maps(right: Mask, left: Mask, probability: float = 0.95) -> Array:
    return np.where(np.stack([right, left]), probability, 0.02).astype(np.float32)


def grid(hu: Array) -> sitk.Image:
    return resampled(hu, SPACING, 4.0)


def test_the_air_of_a_chest_is_two_lungs_right_and_left() -> None:
    found = lungs_of_air(grid(chest()))
    assert found.method == "air"
    assert dice(found.right, TRUTH[0]) > 0.95
    assert dice(found.left, TRUTH[1]) > 0.95
    assert found.spacing == SPACING


def test_lungs_that_touch_are_parted() -> None:
    bridge = ellipsoid((120, 60, 160), (12, 10, 40))
    image = sitk.GetImageFromArray((TRUTH[0] | TRUTH[1] | bridge).astype(np.uint8))
    image.SetSpacing(SPACING)
    right, left = sides_of(image)
    assert dice(right, TRUTH[0]) > 0.9
    assert dice(left, TRUTH[1]) > 0.9


def test_air_that_reaches_the_lungs_through_the_mouth_is_outside() -> None:
    """A way from the outer air into a lung in the last slices does not make the lung outer air."""
    hu = chest()
    hu[-1] = -1000.0
    hu[50:, 118 // 4, 95 // 4] = -1000.0
    assert dice(lungs_of_air(grid(hu)).right, TRUTH[0]) > 0.9


def test_a_lung_full_of_fluid_is_found_by_the_network_alone() -> None:
    hu = chest()
    hu[TRUTH[1] & (np.arange(SHAPE[1])[None, :, None] > 20)] = 10.0
    found = lungs_of_maps(maps(*TRUTH), grid(hu))
    assert (found.method, found.reason) == ("network", "")
    assert dice(found.left, TRUTH[1]) > 0.95
    assert dice(lungs_of_air(grid(hu)).left, TRUTH[1]) < 0.7


@pytest.mark.parametrize(
    ("right", "left", "probability", "reason"),
    [
        (TRUTH[0], TRUTH[1] & False, 0.95, "a lung of 0 ml"),
        (TRUTH[0], TRUTH[1], 0.6, "mean probability of 60 %"),
        (TRUTH[0], ellipsoid((60, 120, 225), (35, 40, 40)), 0.95, "of the air inside the body lies outside"),
    ],
)
def test_implausible_lungs_give_way_to_those_of_the_air(
    right: Mask, left: Mask, probability: float, reason: str
) -> None:
    found = lungs_of_maps(maps(right, left, probability), grid(chest()))
    assert found.method == "air"
    assert reason in found.reason
    assert dice(found.both, TRUTH[0] | TRUTH[1]) > 0.95


def test_a_thin_rim_around_the_air_is_wall_and_the_airs_side_is_the_networks() -> None:
    rim = tuple(ellipsoid(centre, tuple(r + 4.5 for r in RADII)) for centre in (RIGHT, LEFT))  # type: ignore[arg-type]
    found = lungs_of_maps(maps(rim[0] & (np.arange(SHAPE[0])[:, None, None] > 20), rim[1]), grid(chest()))
    assert found.method == "network"
    assert dice(found.right, TRUTH[0]) > 0.97
    assert dice(found.left, TRUTH[1]) > 0.97


def test_other_parts_are_no_lung_and_holes_are() -> None:
    spot, hole = ellipsoid((20, 120, 160), (12, 12, 12)), ellipsoid(RIGHT, (12, 12, 12))
    found = lungs_of_maps(maps((TRUTH[0] & ~hole) | spot, TRUTH[1]), grid(chest()))
    np.testing.assert_array_equal(found.right, TRUTH[0])


def test_a_volume_without_lungs_is_refused() -> None:
    with pytest.raises(InputError, match="No lungs were found"):
        lungs_of_maps(maps(*(one & False for one in TRUTH)), grid(np.full(SHAPE, 40.0, np.float32)))


def test_zones_are_thirds_of_each_lung_the_upper_towards_the_head() -> None:
    zones = zones_of_volume(TRUTH[0], TRUTH[1])
    assert set(np.unique(zones)) == set(range(7))
    middle = {name: np.argwhere(zones == 1 + number).mean(axis=0) for number, name in enumerate(ZONES)}
    assert middle["right upper"][0] > middle["right middle"][0] > middle["right lower"][0]
    assert middle["left upper"][2] > middle["right upper"][2]
    heights = [np.flatnonzero((zones == number).any(axis=(1, 2))) for number in (1, 2, 3)]
    assert max(map(len, heights)) - min(map(len, heights)) <= 1
    assert ((zones > 0) == (TRUTH[0] | TRUTH[1])).all()


def test_a_map_and_numbers_on_another_grid_cover_the_same_box() -> None:
    z = (np.arange(20, dtype=np.float32) + 0.5)[:, None, None] * np.ones((1, 6, 8), np.float32) / 20
    found = stretched(z, (50, 6, 8))
    np.testing.assert_allclose(found[2:-2, 3, 4], (np.arange(50) + 0.5)[2:-2] / 50, atol=1e-5)
    numbers = numbers_stretched(np.repeat(np.uint8([1, 2]), 18).reshape(4, 3, 3), (8, 3, 3))
    assert (numbers[:4] == 1).all()
    assert (numbers[4:] == 2).all()


def test_drawn_lungs_lie_side_by_side() -> None:
    found = drawn_in_volume(np.zeros((20, 64, 64), np.float32), (2.0, 2.0, 2.0))
    assert np.argwhere(found.right)[:, 2].max() < np.argwhere(found.left)[:, 2].min()


@pytest.mark.parametrize("full", [0, 1], ids=["right", "left"])
@pytest.mark.parametrize("way", ["air", "network"])
def test_one_aerated_lung_stays_on_its_side(full: int, way: str) -> None:
    """The other is white: what was split into two is one lung, and no part of it is called the other's."""
    hu = chest()
    hu[TRUTH[full]] = 20.0
    aerated = TRUTH[1 - full]
    half = np.arange(SHAPE[2])[None, None, :] < np.nonzero(aerated)[2].mean()
    split = maps(aerated & half, aerated & ~half)
    found = lungs_of_air(grid(hu)) if way == "air" else lungs_of_maps(split, grid(hu))
    sides = (found.right, found.left)
    assert not sides[full].any()
    assert dice(sides[1 - full], aerated) > 0.9
