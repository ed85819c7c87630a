"""The bootstrap by patient: whole patients are drawn, and every figure of one draw is of the same patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
CHUNK = 2**22  # values in memory


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval; None where no draw has it."""

    value: float | None
    low: float | None = None
    high: float | None = None


def patient_draws(groups: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """How often each of N rows is in each draw, (draws, N): groups (N,) are drawn whole, with replacement."""
    return np.concatenate(list(drawn_parts(groups, draws, seed)))


def drawn_parts(groups: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """The rows of `patient_draws` in parts of at most `CHUNK` values, for many images."""
    index = np.unique(groups, return_inverse=True)[1]
    count = int(index.max()) + 1
    generator, step = np.random.default_rng(seed), max(1, CHUNK // len(groups))
    for start in range(0, draws, step):
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=min(step, draws - start))
        yield drawn[:, index].astype(np.float64)


def figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    """The percentile interval of those draws that are numbers; rounded to four digits.

    Where all draws are the same (none or all hit) a bootstrap has no interval, and there is none.
    """
    real = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Figure(None)
    if not real.size or float(np.ptp(real)) < 1e-12:
        return Figure(round(float(value), 4))
    low, high = np.quantile(real, [0.025, 0.975])
    return Figure(round(float(value), 4), round(float(low), 4), round(float(high), 4))


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, not a number where whole is 0."""
    result: NDArray[np.float64] = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
