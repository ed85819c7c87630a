from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from models.metrics.bags import bags_of
from models.metrics.classes import accuracy, balanced_accuracy, confusion, macro, one_vs_rest, recalls

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 60)
TRUTH = CLASSES[:, None] == np.arange(3)
PROBABILITIES = RNG.dirichlet(np.ones(3), 60) + 0.4 * TRUTH


def test_figures_are_those_of_scikit_learn_for_any_weights() -> None:
    weights = RNG.integers(0, 4, (2, 60)).astype(float)
    predicted = PROBABILITIES.argmax(1)
    counts = confusion(TRUTH, predicted, weights)
    for row, weight in enumerate(weights):
        expected = metrics.confusion_matrix(CLASSES, predicted, sample_weight=weight)
        np.testing.assert_allclose(counts[row], expected)
        assert accuracy(counts)[row] == pytest.approx(metrics.accuracy_score(CLASSES, predicted, sample_weight=weight))
        balanced = metrics.balanced_accuracy_score(CLASSES, predicted, sample_weight=weight)
        assert balanced_accuracy(counts)[row] == pytest.approx(balanced)
        areas = [metrics.roc_auc_score(TRUTH[:, one], PROBABILITIES[:, one], sample_weight=weight) for one in range(3)]
        np.testing.assert_allclose(one_vs_rest(PROBABILITIES, TRUTH, weights)[row], areas)
        assert macro(PROBABILITIES, TRUTH, weight) == pytest.approx(np.mean(areas))


def test_a_draw_without_a_class_has_no_figure_of_it() -> None:
    weights = np.where(CLASSES == 1, 0.0, 1.0)[None]
    counts = confusion(TRUTH, PROBABILITIES.argmax(1), weights)
    assert np.isnan(balanced_accuracy(counts)).all()
    assert np.isnan(recalls(counts)[0, 1])
    assert np.isnan(one_vs_rest(PROBABILITIES, TRUTH, weights)[0, 1])


def test_a_bag_has_one_class_even_where_a_group_has_two() -> None:
    groups = np.array([7, 7, 7, 3, 3, 9])
    truth = np.array([0, 0, 1, 2, 2, 0])[:, None] == np.arange(3)
    bags = bags_of(groups, truth)
    assert len(bags) == 4
    assert bags.groups.tolist() == [3, 7, 7, 9]
    assert bags.truth.argmax(1).tolist() == [2, 0, 1, 0]
    assert [bags.rows(one).tolist() for one in range(4)] == [[3, 4], [0, 1], [2], [5]]
    assert bags.share.tolist() == [0.5, 0.5, 1, 0.5, 0.5, 1]
    assert bags.balanced.mean() == pytest.approx(1)
    by_class = [bags.balanced[truth[:, one]].sum() for one in range(3)]
    np.testing.assert_allclose(by_class, by_class[0])
    assert bags.balanced[5] == pytest.approx(2 * bags.balanced[0])  # alone in its bag
