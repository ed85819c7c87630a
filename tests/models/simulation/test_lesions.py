"""Lesions lie where they form, have the density of what they are, and leave the rest of the chest alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from models.simulation.chest import Chest
from models.simulation.lesions.cardiomegaly import widened
from models.simulation.lesions.pneumothorax import SHARE
from models.simulation.lesions.registry import lesions
from models.simulation.visible import visible
from tests.models.simulation.chests import grown, phantom

IN_LUNG = ("Emphysema", "Nodule", "Ground_Glass_Nodule", "Consolidation", "Pneumothorax", "Effusion")


def made(label: str, severity: float = 0.5, seed: int = 0, chest: Chest | None = None) -> Chest:
    return lesions()[label](chest or phantom(), np.random.default_rng(seed), severity)


def middle(mask: np.ndarray, axis: int) -> float:
    return float(np.argwhere(mask)[:, axis].mean())


@pytest.mark.parametrize("label", IN_LUNG)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_lesion_lies_inside_the_pleura(label: str, seed: int) -> None:
    chest = made(label, seed=seed)
    mask = chest.masks[label]
    assert mask.any()
    assert not (mask & ~chest.lungs).any()


@pytest.mark.parametrize("label", [*IN_LUNG, "Cardiomegaly"])
def test_the_same_generator_makes_the_same_voxels(label: str) -> None:
    first, second, other = made(label, seed=3), made(label, seed=3), made(label, seed=4)
    assert np.array_equal(first.hu, second.hu)
    assert np.array_equal(first.masks[label], second.masks[label])
    assert not np.array_equal(first.hu, other.hu)


@pytest.mark.parametrize("label", IN_LUNG)
def test_far_from_the_lungs_nothing_changes(label: str) -> None:
    before, after = phantom(0, 15.0), made(label, chest=phantom(0, 15.0))
    away = ~grown(before.lungs, 3)
    assert np.array_equal(before.hu[away], after.hu[away])


@pytest.mark.parametrize("seed", range(4))
def test_pneumothorax_is_air_in_front(seed: int) -> None:
    chest = made("Pneumothorax", 0.4, seed)
    air = chest.masks["Pneumothorax"]
    side = chest.sides == np.bincount(chest.sides[air]).argmax()
    assert np.median(chest.hu[air]) == pytest.approx(-1000, abs=5)
    assert middle(air, 1) < middle(side & ~air, 1) - 3  # voxels of 3 mm
    assert not (air & ~side).any()


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_pneumothorax_takes_the_share_of_the_hemithorax_that_it_should(severity: float) -> None:
    chest = made("Pneumothorax", severity, 5)
    air = chest.masks["Pneumothorax"]
    side = chest.sides == np.bincount(chest.sides[air]).argmax()
    wanted = SHARE[0] + (SHARE[1] - SHARE[0]) * severity
    assert air.sum() / side.sum() == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("label", ["Pneumothorax", "Effusion"])
def test_the_hemithorax_keeps_its_volume_and_the_lung_grows_denser(label: str) -> None:
    before, after = phantom(), made(label, 0.6, 7)
    assert np.array_equal(before.sides, after.sides)
    taken = after.masks[label]
    side = after.sides == np.bincount(after.sides[taken]).argmax()
    inside = ndimage.binary_erosion(side, iterations=2)
    assert np.median(after.hu[inside & ~grown(taken, 2)]) > np.median(before.hu[inside]) + 10


@pytest.mark.parametrize("seed", range(3))
def test_effusion_is_fluid_behind(seed: int) -> None:
    chest = made("Effusion", 0.3, seed)
    fluid = chest.masks["Effusion"]
    assert -5 < np.median(chest.hu[fluid]) < 30
    assert middle(fluid, 1) > middle(chest.lungs & ~fluid, 1) + 5
    assert middle(fluid, 0) < middle(chest.lungs & ~fluid, 0)


def test_consolidation_has_open_bronchi_and_stays_in_the_lung() -> None:
    chest = made("Consolidation", 0.8, 1)
    mask = chest.masks["Consolidation"]
    core = chest.hu[ndimage.binary_erosion(mask, iterations=2)]
    assert -60 < np.median(core) < 90
    assert 0.002 < (core < -300).mean() < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_emphysema_is_darker_than_the_lung_was(seed: int) -> None:
    before, after = phantom(), made("Emphysema", 0.5, seed)
    mask = after.masks["Emphysema"]
    assert np.median(after.hu[mask]) < -940
    assert np.median(before.hu[mask]) - np.median(after.hu[mask]) > 50


def test_cardiomegaly_widens_the_heart_and_moves_no_rib() -> None:
    before, after = phantom(), made("Cardiomegaly", 0.5)

    def width(chest: Chest) -> int:
        return int(np.ptp(np.argwhere(chest.heart)[:, 2]))

    assert 1.15 < width(after) / width(before) < 1.6
    bone = ~grown(before.lungs | before.heart, 5)
    assert np.array_equal(before.hu[bone], after.hu[bone])
    assert after.lungs.sum() < before.lungs.sum()


def test_no_heart_is_no_cardiomegaly() -> None:
    chest = phantom()
    none = Chest(chest.hu, chest.spacing, chest.sides, np.zeros_like(chest.heart), chest.noise)
    assert "Cardiomegaly" not in made("Cardiomegaly", chest=none).masks


def test_densities_of_nodules_are_those_of_their_kind() -> None:
    solid, glass = made("Nodule", 1.0, 2), made("Ground_Glass_Nodule", 1.0, 1)
    assert -80 < np.median(solid.hu[ndimage.binary_erosion(solid.masks["Nodule"])]) < 90
    assert -760 < np.median(glass.hu[glass.masks["Ground_Glass_Nodule"]]) < -350


def test_a_larger_severity_is_a_larger_nodule() -> None:
    small, large = (made("Nodule", severity, 2).masks["Nodule"].sum() for severity in (0.1, 0.9))
    assert large > 4 * small


def test_a_nodule_in_fluid_is_not_seen() -> None:
    chest = phantom()
    mask = np.zeros(chest.hu.shape, np.bool_)
    z, y, x = np.argwhere(ndimage.binary_erosion(chest.lungs, iterations=6))[0]
    mask[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = True
    hu = chest.hu.copy()
    assert "Nodule" in visible(chest.with_lesion(hu, "Nodule", mask)).masks
    hu[grown(mask, 4)] = 10.0
    assert "Nodule" not in visible(chest.with_lesion(hu, "Nodule", mask)).masks


def test_lesions_of_earlier_kinds_move_with_the_lung() -> None:
    chest = made("Consolidation", 0.6, 1)
    filled = chest.masks["Consolidation"]
    (side,) = np.unique(chest.sides[filled])
    pairs = [made("Pneumothorax", 0.5, seed, chest) for seed in range(8)]
    both = [one for one in pairs if one.sides[one.masks["Pneumothorax"]].max() == side]
    assert both
    for one in both:
        moved = one.masks["Consolidation"]
        assert not (moved & one.masks["Pneumothorax"]).any()
        assert 0.2 * filled.sum() < moved.sum() <= 1.1 * filled.sum()
        assert not np.array_equal(moved, filled)


def test_a_heart_that_does_not_grow_stays() -> None:
    chest = phantom()
    same = widened(chest, 0.0, np.random.default_rng(0))
    assert np.allclose(same.hu, chest.hu, atol=0.01)
