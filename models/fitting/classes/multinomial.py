"""Multinomial logistic regression on pooled features, with an L2 penalty in whitened coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from models.data.datasets import Examples
from models.errors import DataError
from models.fitting.heads import Flags, Floats, Head
from models.metrics.bags import Bags
from models.metrics.classes import macro

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
NEAR_BEST = 0.005  # the largest penalty whose macro AUC is this near to the best
MOST_STEPS = 3000


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The penalty that cross-validation chose, the head of all images, that of each fold, and their logits."""

    penalty: float
    scores: dict[str, float]
    head: Head
    crossed: list[Head]
    logits: Floats


def class_folds(examples: Examples, count: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Row numbers held out in each fold, by group, classes spread evenly.

    Raises
    ------
    DataError
        An image has no class or several, or a class has fewer groups than there are folds.
    """
    if not (examples.truth.sum(1) == 1).all():
        raise DataError("Exclusive classes: each image of labels.csv must have exactly one of them.")
    for label, has in zip(examples.labels, examples.truth.T, strict=True):
        groups = len(set(examples.patients[has].tolist()))
        if groups < count:
            raise DataError(
                f"Too few groups to train: {label} is in {groups}, and {count} folds by group need {count}:"
                " add images of others."
            )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    classes = examples.truth.argmax(1)
    return tuple(held.astype(np.int64) for _, held in splitter.split(classes, classes, examples.patients))


def fit(x: Floats, truth: Flags, weights: Floats, penalty: float, whiten: Floats) -> Head:
    """The head of features (N, C) whose images count as `weights` (N,), of mean 1; `penalty` is per image."""
    centre = x.mean(0)
    model = LogisticRegression(C=1.0 / (penalty * len(x)), max_iter=MOST_STEPS, tol=1e-6)
    model.fit((x - centre) @ whiten, truth.argmax(1), sample_weight=weights / weights.mean())
    coefficients, bias = model.coef_, model.intercept_
    if len(coefficients) == 1:  # of two classes scikit-learn fits the difference
        coefficients, bias = np.concatenate([-coefficients, coefficients]) / 2, np.array([-bias[0], bias[0]]) / 2
    return Head(coefficients @ whiten.T, bias - bias.mean(), centre)


def choose(
    x: Floats,
    truth: Flags,
    bags: Bags,
    held_out: Sequence[NDArray[np.int64]],
    whiten: Floats,
    penalties: Sequence[float],
) -> Chosen:
    """Choose the penalty by the macro AUC out of fold, each bag counted as one, and fit."""
    weights, share = bags.balanced, bags.share
    tried: dict[float, tuple[float, list[Head], Floats]] = {}
    for penalty in penalties:
        crossed = [_without(x, truth, weights, held, penalty, whiten) for held in held_out]
        logits = np.zeros(truth.shape)
        for held, head in zip(held_out, crossed, strict=True):
            logits[held] = head.logits(x[held])
        tried[penalty] = macro(softmax(logits, 1), truth, share), crossed, logits
    best = max(score for score, _, _ in tried.values())
    penalty = max(one for one, (score, _, _) in tried.items() if score >= best - NEAR_BEST)
    scores = {f"penalty {one:g}": score for one, (score, _, _) in tried.items()}
    return Chosen(penalty, scores, fit(x, truth, weights, penalty, whiten), *tried[penalty][1:])


def _without(x: Floats, truth: Flags, weights: Floats, held: NDArray[np.int64], penalty: float, whiten: Floats) -> Head:
    kept = np.setdiff1d(np.arange(len(x)), held)
    return fit(x[kept], truth[kept], weights[kept], penalty, whiten)
