from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff
from sklearn.metrics import f1_score

from models.metrics.masks import dice, hausdorff


def test_dice_and_hausdorff_are_those_of_scikit_learn_and_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, other = rng.random((2, 20, 30)) < 0.03
        assert dice(one, other) == pytest.approx(f1_score(one.ravel(), other.ravel(), zero_division=0.0))
        points = np.argwhere(one), np.argwhere(other)
        expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert hausdorff(one, other) == pytest.approx(expected, rel=1e-5)


def test_an_empty_mask_has_no_distance() -> None:
    empty, full = np.zeros((4, 4), np.bool_), np.ones((4, 4), np.bool_)
    assert hausdorff(empty, full) is None
    assert (dice(empty, full), dice(empty, empty)) == (0.0, 1.0)
