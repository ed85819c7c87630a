"""Area under the ROC curve and its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from models.metrics.draws import DRAWS, drawn_parts, ratio

CHUNK = 2**22  # values at once
Z = 1.959964
NEAR = 1e-9  # to the AUC of 0 and 1, whose standard error is 0


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the ROC curve and its 95 % interval."""

    value: float
    low: float
    high: float


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Probability that a positive scores higher than a negative; ties count half. Both must be there."""
    return float(auc_draws(scores, truth, np.ones((1, len(truth))))[0])


def auc_interval(
    scores: NDArray[np.float64],
    truth: NDArray[np.bool_],
    groups: NDArray[np.int64],
    draws: int = DRAWS,
    seed: int = 0,
) -> Auc:
    """AUC and the percentile interval of a bootstrap that draws whole groups (patients)."""
    drawn = np.concatenate([auc_draws(scores, truth, part) for part in drawn_parts(groups, draws, seed)])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Auc(auc(scores, truth), float(low), float(high))


def small_auc_interval(value: float, positives: int, negatives: int) -> Auc:
    """The 95 % interval of an AUC of few groups, in which a bootstrap sees too little.

    Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2, Statistics
    in Medicine 25 (2006), method 5: all AUC whose standard error (Hanley and McNeil) leaves `value` likely; never
    of no width.
    """
    mean = (positives + negatives) / 2

    def away(area: float) -> float:
        spread = 1 + (mean - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return Z * math.sqrt(area * (1 - area) * spread / (positives * negatives))

    low = 0.0 if value <= 0 else float(brentq(lambda one: value - one - away(one), 0.0, min(value, 1 - NEAR)))
    high = 1.0 if value >= 1 else float(brentq(lambda one: one - value - away(one), max(value, NEAR), 1.0))
    return Auc(value, low, high)


def auc_draws(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AUC of rows, each counted as often as in each draw of `weights` (draws, N); NaN where a class is missing."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    step = max(1, CHUNK // len(scores))
    parts = (weights[start : start + step] for start in range(0, len(weights), step))
    return np.concatenate([_areas(part[:, order], truth[order], starts) for part in parts])


def within_draws(
    scores: NDArray[np.float64], truth: NDArray[np.bool_], strata: NDArray[np.str_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability that a positive scores higher than a negative of its own stratum, a draw each; NaN without a pair.

    It is the mean of the strata's AUCs, each weighted by its pairs of a positive and a negative.
    """
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        rows = strata == stratum
        part = weights[:, rows]
        count = (part @ truth[rows]) * (part @ ~truth[rows])
        won += np.where(count > 0, auc_draws(scores[rows], truth[rows], part) * count, 0)
        pairs += count
    return ratio(won, pairs)


def _areas(weights: NDArray[np.float64], truth: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    positive = np.add.reduceat(weights * truth, starts, axis=1)
    negative = np.add.reduceat(weights * ~truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    return ratio((positive * (below + 0.5 * negative)).sum(1), positive.sum(1) * negative.sum(1))
