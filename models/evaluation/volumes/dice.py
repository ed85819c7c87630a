"""Dice of a map at many thresholds, and the threshold that is best on other volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = 64  # of one map: quantiles of its values, closer to each other at the top
SAMPLE = 200_000  # voxels that the quantiles are taken of


@dataclass(frozen=True, slots=True, eq=False)
class DiceTable:
    """Dice of {map >= threshold} with a mask; both (K,), thresholds rising."""

    thresholds: NDArray[np.float64]
    dice: NDArray[np.float64]

    @classmethod
    def of(cls, saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> DiceTable:
        """Of a map and a mask (d, h, w) that is not empty, on one grid."""
        thresholds = _thresholds(saliency)
        whole, inside = (_reached(values, thresholds) for values in (saliency.ravel(), saliency[mask]))
        return cls(thresholds.astype(np.float64), 2 * inside / (whole + int(mask.sum())))

    def at(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Dice at any thresholds: that of the next one in the table; 0 above the last."""
        index = np.searchsorted(self.thresholds, thresholds, side="left")
        return np.append(self.dice, 0.0)[index]


def best_threshold(tables: Sequence[DiceTable]) -> float:
    """The threshold with the largest mean Dice over these volumes."""
    tried = np.unique(np.concatenate([table.thresholds for table in tables]))
    mean = np.mean([table.at(tried) for table in tables], axis=0)
    return float(tried[int(mean.argmax())])


def _thresholds(saliency: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = saliency.ravel()
    some = flat[:: max(1, flat.size // SAMPLE)]
    parts = np.append(1 - np.geomspace(1 / some.size, 0.5, THRESHOLDS - 1), 1.0)
    found: NDArray[np.float32] = np.unique(np.append(np.quantile(some, parts), flat.max()).astype(np.float32))
    return found


def _reached(values: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.float64]:
    """How many values reach each threshold."""
    index = np.searchsorted(thresholds, values, side="right")
    counts = np.bincount(index, minlength=len(thresholds) + 1)[1:]
    return counts[::-1].cumsum()[::-1].astype(np.float64)
