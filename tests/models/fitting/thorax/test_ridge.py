from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.fitting.rows import Rows
from models.fitting.thorax import ridge
from models.fitting.thorax.ridge import Features, Problem

COUNT, WIDTH = 300, 40
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(0, RANDOM.uniform(0.1, 5, WIDTH), (COUNT, WIDTH)).astype(np.float32)
SOURCES = RANDOM.integers(0, 3, COUNT)
WEIGHTS = RANDOM.choice([1.0, 3.0], COUNT)
Y = X @ RANDOM.normal(0, 0.3, (WIDTH, 2)) + 5.0 * SOURCES[:, None] + RANDOM.normal(0, 1, (COUNT, 2))
ROWS = np.arange(10, COUNT)


@pytest.fixture
def features(tmp_path: Path) -> Features:
    values = Rows(tmp_path / "x.npy", X.shape, np.float32)
    values[slice(0, COUNT)] = X
    return Features(values, SOURCES, WEIGHTS)


def centred(values: np.ndarray) -> np.ndarray:
    found = values.astype(np.float64).copy()
    for source in range(3):
        rows = SOURCES[ROWS] == source
        found[rows] -= np.average(found[rows], axis=0, weights=WEIGHTS[ROWS][rows])
    return found


@pytest.mark.parametrize("chunk", [1000, 37])
def test_it_is_ridge_regression_within_sources(features: Features, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(ridge, "CHUNK", chunk)
    problem = Problem.of(features, ROWS)
    mean = np.average(X[ROWS].astype(np.float64), axis=0, weights=WEIGHTS[ROWS])
    scale = np.sqrt(np.average((X[ROWS] - mean) ** 2, axis=0, weights=WEIGHTS[ROWS]))
    expected = Ridge(alpha=0.5 * WIDTH, fit_intercept=False).fit(
        centred(X[ROWS]) / scale, centred(Y[ROWS]), WEIGHTS[ROWS]
    )
    np.testing.assert_allclose(problem.solve(Y, 0.5), (expected.coef_ / scale).T, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(problem.centre, mean, atol=1e-4)


def test_what_differs_between_sources_alone_is_not_learned(features: Features) -> None:
    only_source = np.repeat(7.0 * SOURCES[:, None], 2, 1)
    assert np.abs(Problem.of(features, ROWS).solve(only_source, 0.5)).max() < 1e-6


def test_a_feature_that_never_changes_does_no_harm(features: Features) -> None:
    features.values[slice(0, COUNT)] = np.where(np.arange(WIDTH) == 3, 2.0, X).astype(np.float32)
    assert np.isfinite(Problem.of(features, ROWS).solve(Y, 0.5)).all()
