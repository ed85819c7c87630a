"""Linear heads on pooled features: logistic regression with a strong L2 penalty, folds by patient."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from models.metrics.ranking import auc

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """logits = bias + (features - centre) @ weight.T; weight (L, C), bias (L,), centre (C,)."""

    weight: Floats
    bias: Floats
    centre: Floats

    def logits(self, features: Floats) -> Floats:
        """(N, L) of features (N, C)."""
        return (features - self.centre) @ self.weight.T + self.bias


def whitening(covariance: Floats) -> Floats:
    """Matrix (C, C) after which features vary alike in all directions from cell to cell within an image.

    A penalty on weights there is one on the variance of the class activation map, so the heads get calm maps: what
    differs between images counts, not what differs within every image. A tenth of the diagonal keeps it invertible.
    """
    values, vectors = np.linalg.eigh(covariance + 0.1 * np.diag(np.diag(covariance)) + 1e-9 * np.eye(len(covariance)))
    whiten: Floats = vectors / np.sqrt(values)
    return whiten


def fit(features: Floats, truth: Flags, penalty: float, whiten: Floats) -> Head:
    """One logistic regression a label on whitened features; `penalty` is per image, so it does not grow with N."""
    centre = features.mean(0)
    x = (features - centre) @ whiten
    parts = [_fit_label(x, truth[:, index], penalty) for index in range(truth.shape[1])]
    return Head(np.stack([whiten @ weight for weight, _ in parts]), np.array([bias for _, bias in parts]), centre)


def _fit_label(x: Floats, truth: Flags, penalty: float) -> tuple[Floats, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = LogisticRegression(C=1 / (penalty * len(x)), max_iter=3000).fit(x, truth)
    return model.coef_[0], float(model.intercept_[0])


def folds(patients: NDArray[np.int64], count: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Row numbers held out in each fold; the images of one patient stay together."""
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    return tuple(held for _, held in splitter.split(patients, groups=patients))


def fold_heads(
    features: Floats, truth: Flags, held_out: Sequence[NDArray[np.int64]], penalty: float, whiten: Floats
) -> list[Head]:
    """For each fold the head that did not see it."""
    kept = [np.setdiff1d(np.arange(len(features)), held) for held in held_out]
    return [fit(features[rows], truth[rows], penalty, whiten) for rows in kept]


def out_of_fold(features: Floats, held_out: Sequence[NDArray[np.int64]], heads: Sequence[Head], bias: Floats) -> Floats:
    """Logits (N, L) of images by heads that did not see them.

    All folds take the same `bias` (that of the head of all images): a fold's own bias is low where the fold holds many
    positives, which would count against the ranking.
    """
    logits = np.zeros((len(features), len(bias)))
    for rows, head in zip(held_out, heads, strict=True):
        logits[rows] = head.logits(features[rows]) - head.bias + bias
    return logits


def mean_auc(logits: Floats, truth: Flags, sources: NDArray[np.str_], fewest: int) -> float:
    """Mean over sources of the mean AUC of labels with at least `fewest` positives there."""
    means = []
    for source in sorted(set(sources.tolist())):
        rows = sources == source
        counts = truth[rows].sum(0)
        usable = [i for i, count in enumerate(counts) if fewest <= count < rows.sum()]
        means += [np.mean([auc(logits[rows, i], truth[rows, i]) for i in usable])] if usable else []
    return float(np.mean(means))
