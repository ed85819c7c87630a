from __future__ import annotations

import numpy as np

from models.anatomy.zones import ZONES, zones_of
from tests.models.anatomy.phantoms import LEFT, RIGHT, SIDE, ellipse


def test_zones_are_thirds_of_each_lungs_own_height() -> None:
    right, left = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    right[10:40, 20:50] = True
    left[40:100, 80:110] = True
    zones = zones_of(right, left)
    rows = {name: np.flatnonzero((zones == 1 + index).any(axis=1)) for index, name in enumerate(ZONES)}
    assert {name: (int(one[0]), int(one[-1]) + 1) for name, one in rows.items()} == {
        "right upper": (10, 20), "right middle": (20, 30), "right lower": (30, 40),
        "left upper": (40, 60), "left middle": (60, 80), "left lower": (80, 100),
    }  # fmt: skip
    np.testing.assert_array_equal(zones > 0, right | left)


def test_a_lung_that_is_not_seen_has_no_zone() -> None:
    zones = zones_of(np.zeros((SIDE, SIDE), bool), ellipse(LEFT))
    assert set(np.unique(zones)) == {0, 4, 5, 6}
    assert not zones_of(np.zeros((4, 4), bool), np.zeros((4, 4), bool)).any()
    assert set(np.unique(zones_of(ellipse(RIGHT), ellipse(LEFT)))) == set(range(7))
