"""Ridge regression of many targets on features that lie on disk: conjugate gradients, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.fitting.rows import Rows, parts

Floats = NDArray[np.float64]
CHUNK = 2048  # rows that are in memory at once
ITERATIONS, ENOUGH = 400, 1e-4  # residual by the right side, of every target


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features (N, D), sources and weights of their rows.

    Attributes
    ----------
    values
        (N, D).
    sources
        (N,) numbers of the rows' sources from 0 on: what differs between sources alone is not learned.
    weights
        (N,) of the rows in the loss.
    """

    values: Rows
    sources: NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Rows of features, less the weighted mean of their source, `means` (sources, D), by their deviation `scale` (D,).

    `centre` (D,) is the weighted mean of all.
    """

    features: Features
    rows: NDArray[np.int64]
    means: Floats
    scale: Floats
    centre: Floats

    @classmethod
    def of(cls, features: Features, rows: NDArray[np.int64]) -> Problem:
        """Means and deviations of these rows."""
        count, width = int(features.sources.max()) + 1, features.values.shape[1]
        sums, squares, totals = np.zeros((count, width)), np.zeros(width), np.zeros(count)
        for part in parts(rows, CHUNK):
            x, one = features.values[part].astype(np.float64), _one_hot(features, part, count)
            sums += one.T @ x
            squares += features.weights[part] @ x**2
            totals += one.sum(0)
        centre = sums.sum(0) / totals.sum()
        scale = np.sqrt(np.maximum(squares / totals.sum() - centre**2, 0)) + 1e-6
        return cls(features, rows, sums / np.maximum(totals, 1e-9)[:, None], scale, centre)

    def solve(self, targets: Floats, penalty: float) -> Floats:
        """Coefficients (D, L) on the raw features for targets (N, L) of all rows; the penalty is per feature."""
        right = self._transposed(self._centred(targets))
        strength = penalty * len(self.scale)
        found, residual = np.zeros_like(right), right.copy()
        direction, norm = residual.copy(), (residual**2).sum(0)
        goal = ENOUGH**2 * norm
        for _ in range(ITERATIONS):
            if (norm <= goal).all():
                break
            applied = self._transposed(self._times(direction)) + strength * direction
            step = norm / np.maximum((direction * applied).sum(0), 1e-300)
            found += step * direction
            residual -= step * applied
            before, norm = norm, (residual**2).sum(0)
            direction = residual + norm / np.maximum(before, 1e-300) * direction
        return found / self.scale[:, None]

    def _centred(self, targets: Floats) -> Floats:
        one = _one_hot(self.features, self.rows, len(self.means))
        means = (one.T @ targets[self.rows]) / np.maximum(one.sum(0), 1e-9)[:, None]
        centred: Floats = targets[self.rows] - means[self.features.sources[self.rows]]
        return centred

    def _times(self, coefficients: Floats) -> Floats:
        return np.concatenate([x @ coefficients for _, x in self._standardized()])

    def _transposed(self, values: Floats) -> Floats:
        """Of (rows, L), weighted: (D, L)."""
        done, total = 0, np.zeros((len(self.scale), values.shape[1]))
        for part, x in self._standardized():
            total += x.T @ (self.features.weights[part, None] * values[done : done + len(part)])
            done += len(part)
        return total

    def _standardized(self) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        for part in parts(self.rows, CHUNK):
            away = self.features.values[part] - self.means[self.features.sources[part]]
            yield part, away / self.scale


def _one_hot(features: Features, rows: NDArray[np.int64], count: int) -> Floats:
    """(rows, sources): the row's weight in its source's column."""
    found: Floats = (features.sources[rows, None] == np.arange(count)) * features.weights[rows, None]
    return found
