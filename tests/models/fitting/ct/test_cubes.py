from __future__ import annotations

import numpy as np
import pytest
import torch

from models.fitting.ct import cubes as fitting
from models.fitting.ct.cubes import WIDE, Cubes, changed, fit
from models.fitting.draws import Draws
from models.localizers.ct.nodules import cube_logits
from models.networks.modules.cubes import SIDE


def cubes(count: int, seed: int) -> Cubes:
    """Balls, and tubes of the same width, in lung."""
    rng = np.random.default_rng(seed)
    axis = np.arange(WIDE) - WIDE / 2 + 0.5
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    hu, nodule = [], np.arange(count) % 2 == 0
    for one in nodule:
        radius = rng.uniform(2.5, 4.0)
        parts = [z, y, x] if one else [[z, y, x][axis] for axis in rng.permutation(3)[:2]]
        inside = sum(part**2 for part in parts) <= radius**2
        hu.append(np.where(inside, 30, -850) + rng.normal(0, 30, inside.shape))
    return Cubes(np.array(hu).astype(np.int16), nodule, np.array([f"phantom-{n % 4}" for n in range(count)]))


def test_it_learns_to_tell_balls_from_tubes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "BATCH", 12)
    monkeypatch.setattr(fitting, "POSITIVES", 6)
    network = fit(cubes(60, 0), 0, lambda *step: None, steps=40)
    tested = cubes(20, 1)
    margin = (WIDE - SIDE) // 2
    inner = (slice(None), *(slice(margin, margin + SIDE),) * 3)
    logits = cube_logits(network, tested.hu[inner].astype(np.float32))
    assert ((logits > 0) == tested.nodule).mean() >= 0.9


def test_the_same_seed_gives_the_same_weights() -> None:
    given = cubes(12, 0)
    one, other = (fit(given, 3, lambda *step: None, steps=2).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)
    again = fit(given, 4, lambda *step: None, steps=2).state_dict()
    assert not torch.equal(again["head.weight"], one["head.weight"])


def test_changed_cubes_are_cut_and_keep_their_middle() -> None:
    given = torch.from_numpy(cubes(8, 0).hu).float()[:, None]
    found = changed(given, Draws(torch.Generator().manual_seed(0), 8))
    assert found.shape == (8, 1, SIDE, SIDE, SIDE)
    half = SIDE // 2
    assert (found[:, 0, half - 1 : half + 1, half - 1 : half + 1, half - 1 : half + 1].mean((1, 2, 3)) > -400).all()


def test_rows_are_those_asked_for() -> None:
    given = cubes(6, 0)
    found = given.rows(given.patients == "phantom-1")
    assert len(found.hu) == 2
    assert set(found.patients) == {"phantom-1"}
