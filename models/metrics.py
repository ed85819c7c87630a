"""Area under the ROC curve with its interval, and hits of a point in boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the ROC curve and its 95 % interval."""

    value: float
    low: float
    high: float


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Probability that a positive scores higher than a negative; ties count half. Both must be there."""
    return float(_wins(scores, truth).mean())


def auc_interval(
    scores: NDArray[np.float64],
    truth: NDArray[np.bool_],
    groups: NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
) -> Auc:
    """AUC and the percentile interval of a bootstrap that draws whole groups (patients)."""
    wins = _wins(scores, truth)
    index = np.unique(groups, return_inverse=True)[1]
    count = int(index.max()) + 1
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)[:, index]
    positive, negative = weights[:, truth].astype(float), weights[:, ~truth].astype(float)
    total = positive.sum(1) * negative.sum(1)
    drawn = ((positive @ wins) * negative).sum(1)[total > 0] / total[total > 0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Auc(float(wins.mean()), float(low), float(high))


def _wins(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    above, below = scores[truth][:, None], scores[~truth][None]
    wins: NDArray[np.float64] = (above > below) + 0.5 * (above == below)
    return wins


def peak(saliency: NDArray[np.float32], size: tuple[int, int]) -> tuple[float, float]:
    """(x, y) in input pixels of the centre of the cell (h, w) with the largest value."""
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    return (column + 0.5) * size[1] / saliency.shape[1], (row + 0.5) * size[0] / saliency.shape[0]


def hits(point: tuple[float, float], boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    """Whether the point lies in one of the boxes (x, y, width, height)."""
    return any(x <= point[0] < x + width and y <= point[1] < y + height for x, y, width, height in boxes)
