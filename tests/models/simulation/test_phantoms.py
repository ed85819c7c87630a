"""Phantoms: two lungs of an adult's size, tissues of their density, the same family for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from models.simulation.phantoms.family import drawn_family, varied
from models.simulation.phantoms.render import render
from models.simulation.regions import LOBES, heart_of, lobes_of, sides_of
from tests.models.simulation.chests import SPACING, phantom


@pytest.mark.parametrize("number", range(4))
def test_the_lungs_are_two_and_of_an_adult(number: int) -> None:
    chest = phantom(number)
    right, left = ((chest.sides == side).sum() * chest.voxel_ml() for side in (1, 2))
    assert 900 < left < right * 1.1 < 4500
    assert np.argwhere(chest.sides == 1)[:, 2].mean() < np.argwhere(chest.sides == 2)[:, 2].mean()
    assert 250 < chest.heart.sum() * chest.voxel_ml() < 1100


def test_tissues_have_their_density() -> None:
    chest = phantom()
    lung = ndimage.binary_erosion(chest.lungs, iterations=2)
    assert -920 < np.median(chest.hu[lung]) < -780
    assert (chest.hu[lung] > -400).mean() < 0.15  # vessels
    assert (chest.hu[lung] > -400).mean() > 0.005
    assert 20 < np.median(chest.hu[ndimage.binary_erosion(chest.heart, iterations=2)]) < 300
    assert (chest.hu > 200).sum() > 500  # bone


def test_lung_hangs_denser_behind() -> None:
    chest = phantom()
    lung = ndimage.binary_erosion(chest.lungs, iterations=2) & (chest.hu < -700)
    y = np.argwhere(lung)[:, 1]
    values = chest.hu[lung]
    assert np.median(values[y > np.quantile(y, 0.8)]) > np.median(values[y < np.quantile(y, 0.2)]) + 15


def test_a_family_is_its_seed() -> None:
    assert drawn_family(3, 1) == drawn_family(3, 1)
    assert drawn_family(3, 1) != drawn_family(3, 2)
    assert drawn_family(3, 1) != drawn_family(4, 1)
    rng = np.random.default_rng(0)
    assert varied(drawn_family(3, 1), rng).width_mm == drawn_family(3, 1).width_mm


def test_the_whole_body_has_air_around_it_and_the_same_lungs() -> None:
    family = drawn_family(0, 0)
    whole, cut = (render(family, np.random.default_rng(0), (6.0, 6.0, 6.0), margin) for margin in (None, 12.0))
    assert whole.hu[:, 0].max() < -900
    assert whole.hu[:, -1].max() < -900
    assert whole.hu.size > 2 * cut.hu.size
    assert whole.lungs.sum() == pytest.approx(cut.lungs.sum(), rel=0.05)


def test_sides_and_lobes_are_found_from_the_lungs_alone() -> None:
    chest = phantom()
    sides = sides_of(chest.lungs, SPACING)
    assert (sides != chest.sides).mean() < 0.001
    lobes = lobes_of(sides, SPACING, np.random.default_rng(0))
    assert set(np.unique(lobes)) == {0, *LOBES}
    assert np.array_equal(lobes > 0, chest.lungs)
    assert np.argwhere(lobes == 5)[:, 0].mean() < np.argwhere(lobes == 4)[:, 0].mean()


def test_the_heart_by_rule_overlaps_the_phantoms() -> None:
    chest = phantom()
    found = heart_of(chest.hu, chest.sides, SPACING)
    dice = 2 * (found & chest.heart).sum() / (found.sum() + chest.heart.sum())
    assert dice > 0.6
