"""Decisions at a threshold, and how well probabilities are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics.draws import Figure, figure, ratio

BINS = 10


@dataclass(frozen=True, slots=True)
class Decisions:
    """Figures of the decisions at a threshold; None where no image could count for one."""

    called: int
    sensitivity: Figure
    specificity: Figure
    precision: Figure
    f1: Figure


@dataclass(frozen=True, slots=True)
class Bin:
    """The images whose probability lies in low..high (the last bin holds 1, too)."""

    low: float
    high: float
    images: int
    probability: float
    """Mean of the predicted ones."""
    frequency: float
    """Part of them in which it was true."""


def decisions(present: NDArray[np.bool_], truth: NDArray[np.bool_], weights: NDArray[np.float64]) -> Decisions:
    """Of decisions (N,) against truth (N,); intervals of the draws `weights` (draws, N)."""
    once, drawn = _rates(present, truth, np.ones((1, len(truth)))), _rates(present, truth, weights)
    figures = [figure(float(value[0]), draws) for value, draws in zip(once, drawn, strict=True)]
    return Decisions(int(present.sum()), *figures)


def _rates(
    present: NDArray[np.bool_], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    hit, false = weights @ (present & truth), weights @ (present & ~truth)
    missed, passed = weights @ (~present & truth), weights @ (~present & ~truth)
    return (
        ratio(hit, hit + missed),
        ratio(passed, passed + false),
        ratio(hit, hit + false),
        ratio(2 * hit, 2 * hit + false + missed),
    )


def reliability(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equal width that hold an image, the lowest first."""
    index = _bin(probabilities, bins)
    rows = [(number, index == number) for number in range(bins) if (index == number).any()]
    return tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int(row.sum()),
            *(float(of[row].mean()) for of in (probabilities, truth)),
        )
        for number, row in rows
    )


def calibration_error(
    probabilities: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64], bins: int = BINS
) -> Figure:
    """Expected calibration error of the probability of the finding. Guo et al., ICML 2017.

    Mean over images of |mean probability - frequency| of their bin; bins of equal width. The draws' error is biased
    upwards (noise never cancels), and so is the interval.
    """
    index = _bin(probabilities, bins)
    gap = np.zeros((len(truth), bins))
    gap[np.arange(len(truth)), index] = probabilities - truth

    def error(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        return ratio(np.abs(drawn @ gap).sum(1), drawn.sum(1))

    return figure(float(error(np.ones((1, len(truth))))[0]), error(weights))


def _bin(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)
