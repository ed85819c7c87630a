from __future__ import annotations

import numpy as np
import pytest

from models.anatomy.evidence import Seen, evidence
from models.anatomy.residual import CELLS

NORMAL = np.stack([np.full((CELLS, CELLS), 0.5), np.full((CELLS, CELLS), 0.1)]).astype(np.float32)
WHOLE = np.ones((CELLS, CELLS), np.float32)
UPPER = np.where(np.arange(CELLS)[:, None] < CELLS // 2, WHOLE, 0)


def seen(row: int, column: int, amount: float) -> Seen:
    cells = np.full((CELLS, CELLS), 0.5, np.float32)
    cells[row - 3 : row + 3, column - 3 : column + 3] += amount
    return Seen(cells, WHOLE, {"lungs": WHOLE, "heart": UPPER})


def peak(found: np.ndarray) -> tuple[int, ...]:
    return tuple(int(one) for one in np.unravel_index(found.argmax(), found.shape))


@pytest.mark.parametrize(("differs", "amount"), [("brighter", 0.3), ("darker", -0.3)])
def test_evidence_lies_where_map_and_chest_agree(differs: str, amount: float) -> None:
    maps = np.ones((1, 24, 24), np.float32)
    (found,) = evidence(maps, seen(14, 30, amount), NORMAL, (("lungs", differs),))  # type: ignore[arg-type]
    assert np.hypot(*np.subtract(peak(found), (13.5, 29.5))) < 2
    (none,) = evidence(maps, seen(14, 30, -amount), NORMAL, (("lungs", differs),))  # type: ignore[arg-type]
    assert none.max() == 0
    (less,) = evidence(-maps, seen(14, 30, amount), NORMAL, (("lungs", differs),))  # type: ignore[arg-type]
    assert less.max() == 0


def test_only_the_territory_counts() -> None:
    maps = np.ones((2, 24, 24), np.float32)
    found = evidence(maps, seen(40, 30, 0.3), NORMAL, (("heart", "brighter"), ("lungs", "brighter")))
    assert found[0].max() == 0 < found[1].max()
    found = evidence(maps, seen(20, 30, 0.3), NORMAL, (("heart", "brighter"), ("lungs", "brighter")))
    assert found[0][UPPER == 0].max() == 0 < found[1][UPPER == 0].max()  # nor does smoothing lead out of it


def test_a_map_that_asks_nothing_of_the_chest_is_smoothed() -> None:
    maps = np.zeros((1, 24, 24), np.float32)
    maps[0, 6, 17] = 1
    (found,) = evidence(maps, seen(40, 30, 0.3), NORMAL, (("lungs", "either"),))
    assert np.hypot(*np.subtract(peak(found), (12.5, 34.5))) < 2
    assert found.max() < 0.1
