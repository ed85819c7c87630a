from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data.volumes.volume import Volume
from models.fitting.ct import lungs
from models.fitting.ct.changes import diseased, reframed, scanned
from models.fitting.ct.examples import LungExample
from models.fitting.ct.lungs import WorkingLungs, fit, working
from models.fitting.draws import Draws
from models.localizers.ct.lungs import probability
from models.metrics.masks import dice
from models.networks.modules import unet
from tests.models.ct_phantoms import LEFT, RADII, RIGHT, SPACING, chest, ellipsoid

TRUTH = (ellipsoid(RIGHT, RADII), ellipsoid(LEFT, RADII))


def example(seed: int = 0) -> WorkingLungs:
    return working(LungExample("one", f"patient-{seed}", Volume(chest(seed=seed), SPACING), *TRUTH))


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), 1)


def test_masks_come_onto_the_networks_grid() -> None:
    fine = np.repeat(chest(), 2, axis=1)
    masks = (np.repeat(one, 2, axis=1) for one in TRUTH)
    found = working(LungExample("one", "p", Volume(fine, (4.0, 2.0, 4.0)), *masks))
    assert found.hu.shape == (1, 1, 60, 60, 80)
    for side in (0, 1):
        assert dice(found.masks[0, side].numpy() >= 0.5, TRUTH[side]) > 0.97


def test_it_learns_which_lung_is_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a grid of 8 mm, with narrower layers and without disease, so that seconds are enough."""
    for name, value in {"SHAPE": (32, 32, 48), "NETWORK_MM": 8.0, "RATE": 1e-2, "diseased": lambda hu, *_: hu}.items():
        monkeypatch.setattr(lungs, name, value)
    monkeypatch.setattr(unet, "VOLUME_WIDTHS", (8, 16, 16, 16, 16))
    tested = example(5)
    network = fit([example(0), example(1)], 0, lambda *step: None, steps=80)
    found = probability(network, tested.hu[0, 0].numpy())
    for side in (0, 1):
        assert dice(found[side] >= 0.5, tested.masks[0, side].numpy() >= 0.5) > 0.8


def test_the_same_seed_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungs, "SHAPE", (32, 32, 32))
    one, other = (fit([example()], 3, lambda *step: None, steps=2).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_mirrored_chest_has_its_sides_exchanged() -> None:
    """Whatever is drawn, the right lung's middle lies at lower columns."""
    given = example()
    for seed in range(8):
        hu, masks = reframed(given.hu, given.masks, (32, 32, 40), draws(seed))
        columns = [np.argwhere(one.numpy() > 0.5)[:, 2].mean() for one in masks[0]]
        assert columns[0] < columns[1]
        assert hu[masks.sum(1, keepdim=True) > 0.95].mean() < -750


def test_disease_changes_lungs_alone_and_leaves_the_masks() -> None:
    given, changed = example(), 0
    inside = given.masks.sum(1, keepdim=True) > 0
    for seed in range(10):
        found = diseased(given.hu, given.masks, draws(seed))
        assert torch.equal(found[~inside], given.hu[~inside])
        changed += int((found[inside] - given.hu[inside]).abs().mean() > 50)
    assert 3 <= changed <= 10


def test_a_scan_has_noise_and_stays_a_chest() -> None:
    found = scanned(example().hu, draws(3))
    assert not torch.equal(found, example().hu)
    assert (found - example().hu).abs().mean() < 200
