from __future__ import annotations

import numpy as np
import pytest

from models.anatomy import TERRITORIES, lungs_of, territory
from tests.models.anatomy.phantoms import LEFT, RIGHT, SIDE, ellipse, probability

LUNGS = lungs_of(probability())
# (row, column) of the phantom: within and outside of each territory.
PLACES = {
    "lungs": ([(60, 38), (62, 90), (60, 17)], [(60, 64), (120, 64)]),
    "pleura": ([(60, 19), (24, 38)], [(60, 38), (62, 90), (120, 64)]),
    "heart": ([(80, 64), (80, 80)], [(30, 64), (80, 22), (120, 64)]),
    "mediastinum": ([(30, 64), (60, 64)], [(60, 38), (120, 64)]),
    "hilum": ([(60, 60), (60, 68)], [(30, 64), (60, 25)]),
    "below diaphragm": ([(110, 38), (110, 90)], [(60, 38), (60, 64), (110, 5)]),
    "chest": ([(60, 64), (60, 38)], [(5, 5), (127, 64)]),
}


@pytest.mark.parametrize("name", sorted(TERRITORIES))
def test_a_territory_holds_its_organ_and_not_the_others(name: str) -> None:
    mask = territory(name, LUNGS)
    within, outside = PLACES[name]
    assert mask.shape == (SIDE, SIDE)
    assert mask.dtype == np.bool_
    assert [place for place in within if not mask[place]] == []
    assert [place for place in outside if mask[place]] == []


@pytest.mark.parametrize("name", sorted(TERRITORIES))
def test_where_a_lung_is_not_seen_findings_may_lie_anywhere(name: str) -> None:
    assert territory(name, lungs_of(probability(ellipse(RIGHT)))).all()
    assert territory(name, lungs_of(np.zeros((SIDE, SIDE), np.float32))).all()


@pytest.mark.parametrize("name", sorted(TERRITORIES))
def test_a_territory_moves_and_grows_with_the_lungs(name: str) -> None:
    moved = lungs_of(probability(ellipse((RIGHT[0] + 5, RIGHT[1] + 4)), ellipse((LEFT[0] + 5, LEFT[1] + 4))))
    expected = np.roll(territory(name, LUNGS), (5, 4), axis=(0, 1))[5:, 4:]
    assert (territory(name, moved)[5:, 4:] != expected).mean() < 0.02
