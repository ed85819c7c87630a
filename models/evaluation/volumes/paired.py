"""The first method beside each baseline and each other method, on the same volumes and in the same draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.evaluation.figures import Paired
from models.evaluation.volumes.baselines import BlindSpot
from models.evaluation.volumes.figures import FALSE_MARKS
from models.evaluation.volumes.records import Hits, Spot
from models.evaluation.volumes.summary import Draws, marks_over
from models.metrics.draws import figure
from models.metrics.froc import froc_sensitivity

POINTS: dict[str, Callable[[Hits], float]] = {
    "slice of the peak": lambda hits: hits.slices[0],
    "peak in a lesion": lambda hits: hits.pointing,
    "peak within 10 mm": lambda hits: hits.near,
}


def points(
    label: str, own: Sequence[Spot], baseline: str, others: Sequence[Spot | BlindSpot], draws: Draws
) -> Iterator[Paired]:
    """Where the peaks lie, on the volumes with lesions that the baseline has, too."""
    mine = {spot.row: spot.hits for spot in own if spot.hits is not None}
    theirs = {spot.row: spot.hits for spot in others if spot.hits is not None}
    rows = [row for row in mine if row in theirs]
    if not rows:
        return
    for name, value in POINTS.items():
        one, other = (np.array([value(some[row]) for row in rows]) for some in (mine, theirs))
        figures = draws.mean(one, rows), draws.mean(other, rows), draws.difference(one, other, rows)
        yield Paired(f"{name}, {label}", f"{len(rows)} volumes", baseline, *figures)


def froc(label: str, own: Sequence[Spot], baseline: str, others: Sequence[Spot], draws: Draws) -> Iterator[Paired]:
    """Sensitivity over lesions at each count of false marks, of two methods."""
    weights = draws.weights[:, [spot.row for spot in own]]
    every = np.concatenate([np.ones((1, len(own))), weights])
    mine, theirs = (froc_sensitivity(marks_over(spots), FALSE_MARKS, every) for spots in (own, others))
    for at, rate in enumerate(FALSE_MARKS):
        one, other = mine[:, at], theirs[:, at]
        three = (figure(float(some[0]), some[1:]) for some in (one, other, one - other))
        yield Paired(f"lesions at {rate:g} false marks, {label}", f"{len(own)} volumes", baseline, *three)
