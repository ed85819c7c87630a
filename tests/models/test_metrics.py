from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.metrics import auc, auc_interval, hits, peak


def test_auc_counts_ties_half() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 6, 300).astype(float), rng.random(300) < 0.3
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_the_interval_is_wider_where_patients_repeat() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2 == 0
    scores = truth + rng.normal(size=200)
    alone = auc_interval(scores, truth, np.arange(200))
    assert alone.low < alone.value < alone.high
    repeated = auc_interval(np.tile(scores, 4), np.tile(truth, 4), np.tile(np.arange(200), 4))
    as_if_alone = auc_interval(np.tile(scores, 4), np.tile(truth, 4), np.arange(800))
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert as_if_alone.high - as_if_alone.low < 0.7 * (repeated.high - repeated.low)


def test_the_peak_is_the_centre_of_its_cell() -> None:
    saliency = np.zeros((4, 8), np.float32)
    saliency[1, 6] = 1
    assert peak(saliency, (100, 400)) == (325.0, 37.5)


def test_a_hit_lies_in_any_of_the_boxes() -> None:
    boxes = [(0.0, 0.0, 10.0, 10.0), (20.0, 30.0, 5.0, 5.0)]
    assert hits((22, 34), boxes)
    assert hits((9.9, 0), boxes)
    assert not hits((10, 0), boxes)
    assert not hits((34, 22), boxes)
