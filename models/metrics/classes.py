"""Figures of exclusive classes: confusion, balanced accuracy, one-vs-rest areas; of draws of whole patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.metrics.draws import ratio
from models.metrics.ranking import auc_draws

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def confusion(truth: Flags, predicted: NDArray[np.intp], weights: Floats) -> Floats:
    """(draws, L, L): how often the class of a row was predicted as that of a column; truth (N, L), predicted (N,)."""
    classes = truth.shape[1]
    decided = predicted[:, None] == np.arange(classes)
    counts: Floats = np.einsum("dn,nt,np->dtp", weights, truth.astype(float), decided.astype(float), optimize=True)
    return counts


def recalls(counts: Floats) -> Floats:
    """(draws, L): part of each class that was recognised, by `confusion`; NaN where a draw has none of it."""
    return ratio(np.diagonal(counts, axis1=1, axis2=2), counts.sum(2))


def accuracy(counts: Floats) -> Floats:
    """(draws,): part of all that was recognised."""
    return ratio(np.trace(counts, axis1=1, axis2=2), counts.sum((1, 2)))


def balanced_accuracy(counts: Floats) -> Floats:
    """(draws,): mean of the recalls; NaN where a class is missing."""
    return np.asarray(recalls(counts).mean(1), np.float64)


def quadratic_kappa(counts: Floats) -> Floats:
    """(draws,): Cohen's kappa of ordered classes, weights by the squared distance of the two (Psychol. Bull. 70, 1968).

    NaN where all that is true and all that was predicted is one class.
    """
    grades = np.arange(counts.shape[1])
    apart = (grades[:, None] - grades) ** 2.0
    by_chance = counts.sum(2)[:, :, None] * counts.sum(1)[:, None, :]
    expected = (by_chance * apart).sum((1, 2))
    return 1 - ratio((counts * apart).sum((1, 2)) * counts.sum((1, 2)), expected)


def one_vs_rest(probabilities: Floats, truth: Flags, weights: Floats) -> Floats:
    """(draws, L): of each class the area under the ROC curve against all others; NaN where either is missing."""
    areas = [auc_draws(probabilities[:, one], truth[:, one], weights) for one in range(truth.shape[1])]
    return np.stack(areas, 1)


def macro(probabilities: Floats, truth: Flags, weights: Floats) -> float:
    """The mean of the areas, of rows that count as `weights` (N,)."""
    return float(one_vs_rest(probabilities, truth, weights[None]).mean())
