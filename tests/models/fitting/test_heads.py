from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.fitting import heads
from models.fitting.rows import Rows


def test_a_patient_is_in_one_fold_only() -> None:
    patients = np.random.default_rng(0).integers(0, 40, 200)
    held = heads.folds(patients, 5, seed=3)
    assert sorted(np.concatenate(held).tolist()) == list(range(200))
    where = [set(patients[rows].tolist()) for rows in held]
    assert sum(map(len, where)) == len(set().union(*where))
    assert all((a == b).all() for a, b in zip(held, heads.folds(patients, 5, seed=3), strict=True))


def test_out_of_fold_values_know_nothing_of_noise() -> None:
    """Labels drawn at random cannot be predicted, however many features there are."""
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(400, 300)), rng.random((400, 2)) < 0.3
    held = heads.folds(np.arange(400), 5, 0)
    whiten = heads.whitening(np.eye(300))
    crossed = heads.fold_heads(features, truth, held, 0.01, whiten)
    logits = heads.out_of_fold(features, held, crossed, np.zeros(2))
    assert heads.mean_auc(logits, truth, np.full(400, "A"), 10) == pytest.approx(0.5, abs=0.06)
    head = heads.fit(features, truth, 0.01, whiten)
    assert heads.mean_auc(head.logits(features), truth, np.full(400, "A"), 10) > 0.9  # the same head on what it saw


def test_a_direction_that_varies_within_images_gets_little_weight() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((500, 1)) < 0.5
    features = np.stack([truth[:, 0] + rng.normal(size=500)] * 2, 1) + rng.normal(size=(500, 2)) * 0.1
    head = heads.fit(features, truth, 0.05, heads.whitening(np.diag([0.1, 10.0])))
    assert head.weight[0, 0] > 5 * abs(head.weight[0, 1])


def test_the_mean_counts_sources_alike() -> None:
    truth = np.array([[1], [0], [1], [0], [0], [0]], bool)
    logits = np.array([[2.0], [1.0], [0.0], [1.0], [1.0], [1.0]])
    sources = np.array(["A", "A", "B", "B", "B", "B"])
    assert heads.mean_auc(logits, truth, sources, 1) == pytest.approx(0.5)


def test_the_optimum_is_that_of_a_logistic_regression_a_label() -> None:
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(300, 12)) * 3 + 1, rng.random((300, 3)) < [0.1, 0.3, 0.6]
    truth[:, 0] |= features[:, 0] > 5
    whiten = heads.whitening(np.cov(rng.normal(size=(12, 99))))
    head = heads.fit(features, truth, 0.02, whiten)
    x = (features - features.mean(0)) @ whiten
    for index in range(3):
        model = LogisticRegression(C=1 / (0.02 * 300), tol=1e-9, max_iter=5000).fit(x, truth[:, index])
        np.testing.assert_allclose(head.logits(features)[:, index], model.decision_function(x), atol=1e-3)


def test_parts_on_disk_give_what_memory_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(200, 8)), rng.random((200, 2)) < 0.4
    held, whiten = heads.folds(np.arange(200), 5, 0), np.eye(8)
    stored = Rows(tmp_path / "features.npy", features.shape, np.float64)
    stored[slice(0, 200)] = features
    monkeypatch.setattr(heads, "CHUNK", 7)
    parted = heads.fold_heads(stored, truth, held, 0.1, whiten)
    monkeypatch.setattr(heads, "CHUNK", 1000)
    whole = heads.fold_heads(features, truth, held, 0.1, whiten)
    zero = np.zeros(2)
    np.testing.assert_allclose(
        heads.out_of_fold(stored, held, parted, zero), heads.out_of_fold(features, held, whole, zero), atol=1e-5
    )
