from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anatomy.lungs import lungs_of
from tests.models.anatomy.phantoms import LEFT, RIGHT, ellipse, probability


def test_two_lungs_are_plausible() -> None:
    lungs = lungs_of(probability())
    assert lungs.plausible
    assert lungs.reason == ""


def test_a_small_lung_beside_a_large_one_is_plausible() -> None:
    assert lungs_of(probability(ellipse(RIGHT), ellipse((40.0, 90.0), (18.0, 14.0)))).plausible


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (np.zeros((128, 128), np.float32), "0.0 % of the image looks like lung"),
        (np.ones((128, 128), np.float32), "100 % of the image looks like lung"),
        (probability(ellipse(RIGHT)), "only one part of the image looks like a lung"),
        (probability(ellipse(RIGHT), ellipse(LEFT, (14.0, 8.0))), "has 15 % of the other's area"),
        (probability(ellipse((30.0, 60.0), (25, 15)), ellipse((98.0, 70.0), (25, 15))), "do not lie side by side"),
        (probability(ellipse(RIGHT, (16, 30)), ellipse((62.0, 100.0), (16, 24))), "is wider than a lung is"),
        (probability(outside=0.3), "too much of the image looks a little like lung"),
        (probability(inside=0.6), "with a mean probability of 60 % only"),
    ],
)
def test_what_is_no_chest_is_named(found: NDArray[np.float32], words: str) -> None:
    lungs = lungs_of(found)
    assert not lungs.plausible
    assert lungs.reason.startswith("no lungs seen: ")
    assert words in lungs.reason
