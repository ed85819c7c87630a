"""The mean AUC that more labels would give: a power law through heads that were fitted on subsets of the patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Examples
from models.evaluation.discrimination import cells
from models.fitting.heads import Floats, Refit
from models.fitting.task import Advance
from models.metrics.draws import Figure, drawn_parts, figure
from models.metrics.ranking import auc_draws

PARTS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the patients that are not held out
STRONGER = 10**0.5  # a smaller subset may need a larger penalty: both are tried
TIMES = (2, 10)
DRAWS = 200
CAUTION = (
    "Caution: the curve is of a head on a frozen backbone, and a power law knows no ceiling, which noisy labels set."
    " It holds for images like these; labels of other kinds or places may bring more or less."
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Mean AUC out of fold by the number of images, and what it would be with more.

    Attributes
    ----------
    measured
        (images, mean AUC within sources), the smallest subset first.
    expected
        (times as many images as there are, mean AUC).
    exponent
        Of 1 - AUC = a * images ** -exponent.
    """

    measured: tuple[tuple[int, Figure], ...]
    expected: tuple[tuple[int, Figure], ...]
    exponent: Figure

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        curve = ", ".join(f"{count:,} images {one.value:.3f}" for count, one in self.measured)
        more = [f"{times} times as many images {_shown(one)}" for times, one in self.expected]
        return f"Learning curve, mean AUC out of fold: {curve}.", f"Forecast: {', '.join(more)}.", CAUTION


def _shown(one: Figure) -> str:
    return f"{one.value:.2f}" if one.low is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def forecast(
    examples: Examples,
    held_out: Sequence[NDArray[np.int64]],
    refit: Refit,
    penalty: float,
    seed: int,
    advance: Advance,
) -> Forecast | None:
    """Fit on nested subsets of the patients outside each fold; None where no label has enough positives.

    Intervals are of a bootstrap of the patients that are tested; which subset was drawn is not in them.
    """
    if not list(cells(examples)):
        return None
    counts, areas = [], []
    for done, part in enumerate(PARTS, start=1):
        rows = [_subset(examples, held, part, seed) for held in held_out]
        counts.append(round(float(np.mean([len(some) for some in rows]))))
        tried = [
            _mean_auc(_logits(examples, held_out, rows, refit, one), examples, seed)
            for one in ((penalty,) if part == 1 else (penalty, STRONGER * penalty))
        ]
        areas.append(max(tried, key=lambda area: float(area[0])))
        advance("learning curve", done, len(PARTS))
    return extrapolated(counts, np.array(areas), len(examples))


def extrapolated(counts: Sequence[int], areas: Floats, images: int) -> Forecast:
    """The power law of areas (subsets, 1 + draws), the first column without a draw."""
    x, y = np.log(counts), np.log(np.maximum(1 - areas, 1e-6))
    centred = x - x.mean()
    slope = np.minimum(centred @ (y - y.mean(0)) / (centred @ centred), 0.0)  # more labels never harm
    level = y.mean(0) - slope * x.mean()
    expected = [1 - np.exp(level + slope * np.log(times * images)) for times in TIMES]
    return Forecast(
        tuple((count, figure(float(area[0]), area[1:])) for count, area in zip(counts, areas, strict=True)),
        tuple((times, figure(float(area[0]), area[1:])) for times, area in zip(TIMES, expected, strict=True)),
        figure(float(-slope[0]), -slope[1:]),
    )


def _subset(examples: Examples, held: NDArray[np.int64], part: float, seed: int) -> NDArray[np.int64]:
    """Rows of this part of the patients that are not held out; a larger part holds the smaller one."""
    kept = np.setdiff1d(np.arange(len(examples)), held)
    patients = np.random.default_rng(seed).permutation(np.unique(examples.patients[kept]))
    return kept[np.isin(examples.patients[kept], patients[: max(1, round(part * len(patients)))])]


def _logits(
    examples: Examples,
    held_out: Sequence[NDArray[np.int64]],
    rows: Sequence[NDArray[np.int64]],
    refit: Refit,
    penalty: float,
) -> Floats:
    logits = np.zeros(examples.truth.shape)
    for held, kept in zip(held_out, rows, strict=True):
        logits[held] = refit(kept, penalty)(held)
    return logits


def _mean_auc(logits: Floats, examples: Examples, seed: int) -> Floats:
    """Of all images, then of each draw: the mean over sources of the mean AUC of labels with enough positives there."""
    draws = chain([np.ones((1, len(examples)))], drawn_parts(examples.patients, DRAWS, seed))
    return np.concatenate([_mean_of_sources(logits, examples, weights) for weights in draws])


def _mean_of_sources(logits: Floats, examples: Examples, weights: Floats) -> Floats:
    by_source: dict[str, list[Floats]] = {}
    for source, index, rows in cells(examples):
        area = auc_draws(logits[rows, index], examples.truth[rows, index], weights[:, rows])
        by_source.setdefault(source, []).append(area)
    mean: Floats = np.mean([np.mean(some, axis=0) for some in by_source.values()], axis=0)
    return mean
