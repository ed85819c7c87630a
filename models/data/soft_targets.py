"""Targets between 0 and 1: noisy labels, joined with a better model's probabilities of the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.data.datasets import Examples

TEACHER = 0.6  # share of the teacher's calibrated probability, the rest is the label's
SMOOTHING = 0.2  # where there is no teacher: share of the label's frequency in the source
APART = 3.0  # size of a source's own intercept: so much larger, it is hardly penalised

Floats = NDArray[np.float64]


def soft_targets(examples: Examples, kept: NDArray[np.int64], teacher: float = TEACHER) -> Floats:
    """Targets (N, L) for all rows, made of the rows `kept` alone.

    The teacher's logits are calibrated to the labels of `kept`, with an intercept a source, and averaged with the
    labels. A label without a teacher is smoothed towards its frequency in its source.
    """
    targets = _smoothed(examples, kept)
    for label in range(len(examples.labels)):
        known = np.flatnonzero(~np.isnan(examples.teacher[:, label]))
        fitted = np.intersect1d(kept, known)
        truth = examples.truth[fitted, label]
        if not 0 < truth.sum() < len(truth):
            continue
        model = LogisticRegression(C=1.0, max_iter=1000).fit(_inputs(examples, fitted, label), truth)
        probability = model.predict_proba(_inputs(examples, known, label))[:, 1]
        targets[known, label] = teacher * probability + (1 - teacher) * examples.truth[known, label]
    return targets


def _smoothed(examples: Examples, kept: NDArray[np.int64]) -> Floats:
    targets = examples.truth.astype(np.float64)
    for source in np.unique(examples.sources):
        rows = examples.sources == source
        known = np.intersect1d(kept, np.flatnonzero(rows))
        if len(known):  # else nothing is fitted to its targets
            targets[rows] = (1 - SMOOTHING) * targets[rows] + SMOOTHING * examples.truth[known].mean(0)
    return targets


def _inputs(examples: Examples, rows: NDArray[np.int64], label: int) -> Floats:
    """(N, 1 + sources): the teacher's logit, and which source but the first it is."""
    probability = np.clip(examples.teacher[rows, label], 1e-5, 1 - 1e-5)
    of_source = APART * (examples.sources[rows, None] == np.unique(examples.sources)[1:])
    return np.column_stack([np.log(probability / (1 - probability)), of_source])
