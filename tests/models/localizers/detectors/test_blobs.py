from __future__ import annotations

import math

import numpy as np
import pytest

from models.localizers.detectors.blobs import blobs_of
from models.localizers.detectors.candidates_ct import Candidates, cubes_at
from models.localizers.detectors.growing import region_of
from models.metrics.masks import dice
from tests.models.ct_phantoms import Array, Mask, ellipsoid

SHAPE, SPACING = (60, 60, 60), (2.0, 2.0, 2.0)
MIDDLE = (61.0, 61.0, 61.0)


def lung() -> tuple[Array, Mask]:
    inside = ellipsoid((60, 60, 60), (52, 52, 52), SHAPE, SPACING)
    hu = np.where(inside, -850.0, 40.0) + np.random.default_rng(0).normal(0, 25, SHAPE)
    return hu.astype(np.float32), inside


def with_ball(radius: float, value: float, centre: tuple[float, float, float] = MIDDLE) -> tuple[Array, Mask, Mask]:
    """With partial volumes: each voxel is the mean of 4 x 4 x 4 parts."""
    hu, inside = lung()
    fine = ellipsoid(centre, (radius,) * 3, (240,) * 3, (0.5,) * 3)  # type: ignore[arg-type]
    part = fine.reshape(60, 4, 60, 4, 60, 4).mean(axis=(1, 3, 5)).astype(np.float32)
    hu += (value - hu) * part
    return hu, inside, part >= 0.5


def voxel(centre: tuple[float, float, float]) -> np.ndarray:
    return np.array(centre) / 2.0 - 0.5


@pytest.mark.parametrize(("radius", "value"), [(2.5, 30.0), (5.0, 30.0), (12.0, 30.0), (8.0, -600.0)])
def test_a_ball_is_the_first_blob_and_has_about_its_radius(radius: float, value: float) -> None:
    hu, inside, _ = with_ball(radius, value)
    best = blobs_of(hu, inside, SPACING)[0]
    assert np.abs(np.array(best.voxel) - voxel(MIDDLE)).max() <= 1
    assert radius / 1.6 < best.radius_mm < radius * 1.6


def test_a_ball_at_the_pleura_is_a_blob() -> None:
    centre = (61.0, 61.0, 107.0)
    hu, inside, _ = with_ball(6.0, 30.0, centre)
    best = blobs_of(hu, inside | ellipsoid(centre, (6.0,) * 3, SHAPE, SPACING), SPACING)[0]  # type: ignore[arg-type]
    assert np.abs(np.array(best.voxel) - voxel(centre)).max() <= 2


def test_a_ball_ranks_before_a_vessel_and_a_plate() -> None:
    hu, inside, _ = with_ball(4.0, 30.0)
    hu[:, 20:22, 15:17] = np.where(inside[:, 20:22, 15:17], 40.0, hu[:, 20:22, 15:17])
    hu[45:47] = np.where(inside[45:47], 40.0, hu[45:47])
    found = blobs_of(hu, inside, SPACING)
    assert np.abs(np.array(found[0].voxel) - voxel(MIDDLE)).max() <= 1
    assert found[0].strength > 1.5 * max((one.strength for one in found[1:]), default=0.0)


def test_there_are_no_more_than_asked_for_and_none_inside_another() -> None:
    hu, inside = lung()
    rng = np.random.default_rng(1)
    for _ in range(40):
        z, y, x = rng.integers(15, 45, 3)
        hu[z : z + 3, y : y + 3, x : x + 3] = 30.0
    found = blobs_of(hu, inside, SPACING, most=12)
    assert len(found) == 12
    assert [one.strength for one in found] == sorted((one.strength for one in found), reverse=True)
    for number, one in enumerate(found):
        for other in found[:number]:
            assert 2 * math.dist(one.voxel, other.voxel) > max(one.radius_mm, other.radius_mm)


def test_without_lungs_there_are_none() -> None:
    hu, inside = lung()
    assert blobs_of(hu, inside & False, SPACING) == ()


@pytest.mark.parametrize(
    ("radius", "value", "least"), [(3.0, 30.0, 0.75), (6.0, 30.0, 0.85), (11.0, 0.0, 0.9), (8.0, -600.0, 0.85)]
)
def test_the_region_of_a_ball_is_the_ball(radius: float, value: float, least: float) -> None:
    hu, inside, truth = with_ball(radius, value)
    blob = blobs_of(hu, inside, SPACING)[0]
    region = region_of(hu, inside, blob, SPACING)
    whole = np.zeros(SHAPE, np.bool_)
    whole[region.box] = region.mask
    assert dice(whole, truth) > least


def test_a_vessel_is_cut_off() -> None:
    hu, inside, truth = with_ball(7.0, 30.0)
    hu[28:31, 30:32, 30:] = np.where(inside[28:31, 30:32, 30:], 40.0, hu[28:31, 30:32, 30:])
    region = region_of(hu, inside, blobs_of(hu, inside, SPACING)[0], SPACING)
    whole = np.zeros(SHAPE, np.bool_)
    whole[region.box] = region.mask
    assert dice(whole, truth) > 0.85


def test_cubes_are_centred_and_go_on_beyond_the_border() -> None:
    hu = np.arange(6 * 6 * 6, dtype=np.float32).reshape(6, 6, 6)
    found = cubes_at(hu, [(3, 2, 4), (0, 0, 0)], 4)
    assert found.shape == (2, 4, 4, 4)
    assert found[0, 2, 2, 2] == hu[3, 2, 4]
    assert found[1, 0, 0, 0] == hu[0, 0, 0]
    hu, inside, _ = with_ball(5.0, 30.0)
    candidates = Candidates(hu, SPACING, inside, blobs_of(hu, inside, SPACING, 3))
    assert candidates.cubes(20).shape == (len(candidates.blobs), 20, 20, 20)
    assert len(candidates.regions()) == len(candidates.blobs)
