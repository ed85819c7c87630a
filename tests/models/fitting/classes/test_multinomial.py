from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from models.data.datasets import Examples
from models.errors import DataError
from models.fitting.classes import attention
from models.fitting.classes.attention import Recipe
from models.fitting.classes.multinomial import choose, class_folds, fit
from models.metrics.bags import bags_of
from models.metrics.classes import macro

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(30), 6)
CLASSES = GROUPS % 3
TRUTH = CLASSES[:, None] == np.arange(3)
FEATURES = RNG.normal(size=(180, 8)) + 2 * np.eye(8)[CLASSES]
BAGS = bags_of(GROUPS, TRUTH)


def examples(classes: np.ndarray = CLASSES) -> Examples:  # type: ignore[type-arg]
    files, none = (), np.zeros((len(classes), 0))
    return Examples(files, GROUPS, np.full(180, "all"), ("A", "B", "C"), classes[:, None] == np.arange(3), none, none)


def test_heads_are_symmetric_and_heavier_penalties_are_calmer() -> None:
    heavy, light = (fit(FEATURES, TRUTH, BAGS.balanced, penalty, np.eye(8)) for penalty in (3.0, 0.03))
    np.testing.assert_allclose(light.weight.sum(0), 0, atol=1e-4)  # softmax sees differences alone
    assert np.abs(heavy.weight).max() < 0.5 * np.abs(light.weight).max()
    assert macro(softmax(light.logits(FEATURES), 1), TRUTH, np.ones(180)) > 0.9


def test_two_classes_have_two_rows() -> None:
    rows = CLASSES < 2
    head = fit(FEATURES[rows], TRUTH[rows][:, :2], np.ones(rows.sum()), 0.1, np.eye(8))
    assert head.weight.shape == (2, 8)
    right = head.logits(FEATURES[rows]).argmax(1) == CLASSES[rows]
    assert right.mean() > 0.85


def test_folds_keep_groups_whole_and_hold_every_class() -> None:
    folds = class_folds(examples(), 5, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(180))
    for held in folds:
        assert not set(GROUPS[held]) & set(np.delete(GROUPS, held))
        assert set(CLASSES[held]) == {0, 1, 2}


def test_too_few_groups_of_a_class_are_named() -> None:
    with pytest.raises(DataError, match="C is in 2, and 5 folds by group need 5"):
        class_folds(examples(np.where(GROUPS < 28, CLASSES % 2, 2)), 5, 0)


def test_a_choice_is_out_of_fold() -> None:
    noise = RNG.normal(size=(180, 8))
    chosen = choose(noise, TRUTH, BAGS, class_folds(examples(), 5, 0), np.eye(8), (0.03, 1.0))
    assert max(chosen.scores.values()) < 0.65  # nothing to find
    assert len(chosen.crossed) == 5


def test_attention_finds_the_slices_that_tell_the_class() -> None:
    """One slice of each bag tells the class and has a mark; the others look like any class."""
    x = RNG.normal(size=(180, 8)) * 0.3
    telling = np.arange(180) % 6 == 0
    x[np.arange(180), np.where(telling, CLASSES, RNG.integers(0, 3, 180))] += 3.0
    x[telling, 7] += 3.0
    bags, start = bags_of(GROUPS, TRUTH), fit(x, TRUTH, BAGS.balanced, 0.03, np.eye(8))
    rows = np.arange(180)
    found = attention.fit(x, TRUTH, bags, rows, np.eye(8), start, Recipe(0.01, slices=False, seed=0))
    logits = np.stack([attention.bag_logits(x, bags, bag, found) for bag in range(len(bags))])
    assert (logits.argmax(1) == bags.truth.argmax(1)).mean() == 1
    weights = found.attention(torch.from_numpy(x[:6] - found.head.centre).float())
    assert int(weights.argmax()) == 0
    assert float(weights[0]) > 0.4


def test_the_plain_pooling_is_the_mean() -> None:
    head = fit(FEATURES, TRUTH, BAGS.balanced, 0.1, np.eye(8))
    found = attention.bag_logits(FEATURES, BAGS, 4, attention.plain(8, head))
    np.testing.assert_allclose(found, head.logits(FEATURES[BAGS.rows(4)]).mean(0), atol=1e-5)
