"""Ordinal grades: probabilities that add up to 1, and the median."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from models.classes.ordinal import at_least, grade, of_cumulative
from models.metrics.classes import confusion, quadratic_kappa


@pytest.mark.parametrize(
    ("cumulative", "expected"), [([0.2, 0.1], 0), ([0.9, 0.4], 1), ([0.9, 0.6], 2), ([0.4, 0.9], 0), ([0.6, 0.9], 2)]
)
def test_the_grade_is_the_number_of_cumulative_probabilities_over_one_half(
    cumulative: list[float], expected: int
) -> None:
    found = of_cumulative(np.array(cumulative))
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()
    assert int(grade(found)) == expected
    np.testing.assert_allclose(at_least(found)[1:], np.minimum.accumulate(cumulative))


def test_the_median_need_not_be_the_most_probable_grade() -> None:
    found = of_cumulative(np.array([[0.65, 0.51, 0.1]]))
    assert int(found.argmax()) == 2
    assert int(grade(np.array([[0.45, 0.1, 0.45]]))[0]) == 1


def test_the_kappa_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, 200)
    predicted = np.clip(truth + generator.integers(-2, 3, 200), 0, 4)
    counts = confusion(truth[:, None] == np.arange(5), predicted, np.ones((1, 200)))
    assert quadratic_kappa(counts)[0] == pytest.approx(cohen_kappa_score(truth, predicted, weights="quadratic"))
    same = confusion(np.eye(3, dtype=bool)[[0, 0]], np.array([0, 0]), np.ones((1, 2)))
    assert np.isnan(quadratic_kappa(same)[0])
