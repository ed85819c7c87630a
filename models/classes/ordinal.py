"""Ordinal grades: K grades of K-1 cumulative probabilities, each that the grade is this one or a higher one.

As in CORAL (Cao, Mirjalili and Raschka, Pattern Recognition Letters 140, 2020) the network has one logit a threshold;
its own may cross one another, and the smallest so far counts. The grade is the median: the highest one that is
reached with a probability of more than one half, which is the number of cumulative probabilities over one half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF = 0.5
Values = NDArray[np.floating[Any]]


def of_cumulative(cumulative: Values) -> NDArray[np.float64]:
    """Probabilities (…, K) that add up to 1, of those (…, K-1) of this grade or a higher one, from the second on."""
    falling = np.minimum.accumulate(np.asarray(cumulative, np.float64), -1)
    ends = (*falling.shape[:-1], 1)
    return -np.diff(np.concatenate([np.ones(ends), falling, np.zeros(ends)], -1), axis=-1)


def at_least(probabilities: Values) -> NDArray[np.float64]:
    """Probabilities (…, K) of each grade or a higher one; 1 of the first."""
    found = np.cumsum(np.asarray(probabilities, np.float64)[..., ::-1], -1)[..., ::-1]
    return np.asarray(found, np.float64)


def grade(probabilities: Values) -> NDArray[np.intp]:
    """The median grade (…,), from 0, of probabilities (…, K)."""
    return np.asarray((at_least(probabilities)[..., 1:] > HALF).sum(-1), np.intp)
