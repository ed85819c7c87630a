"""Which images are shown: the ten best and the ten worst."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Examples
from models.evaluation.figures import Ranked
from models.evaluation.locating import best_overlap
from models.evaluation.records import Location

SHOWN = 10


def ranked(
    examples: Examples,
    probabilities: NDArray[np.float64],
    present: dict[str, NDArray[np.bool_]],
    locations: dict[str, list[Location]],
) -> tuple[tuple[Ranked, ...], tuple[Ranked, ...], str]:
    """The best, the worst (the worst first), and in a sentence how they were ranked. An image is in one list only."""
    boxed = [
        (label, location)
        for label, some in locations.items()
        for location in some
        if location.boxes and label in examples.labels
    ]
    reached = [(label, location) for label, location in boxed if present[label][location.row]]
    if len(boxed) < 2:
        return _by_probability(examples, probabilities, present)
    enough = len(reached) >= 2 * SHOWN
    order = sorted(reached if enough else boxed, key=lambda one: -best_overlap(one[1]))
    some = [
        _one(examples, location.row, examples.labels.index(label), probabilities, present, best_overlap(location))
        for label, location in order
    ]
    which = (
        f"the {len(reached)} positives with boxes that reach the threshold"
        if enough
        else (f"all {len(boxed)} images with boxes (once a finding), since only {len(reached)} reach the threshold")
    )
    return *_ends(some), f"Ranked by the best IoU of a region with a box, over {which}."


def _by_probability(
    examples: Examples, probabilities: NDArray[np.float64], present: dict[str, NDArray[np.bool_]]
) -> tuple[tuple[Ranked, ...], tuple[Ranked, ...], str]:
    error = np.abs(probabilities - examples.truth)
    order = sorted(np.ndindex(error.shape), key=lambda at: (error[at], at))
    good = [at for at in order if examples.truth[at]][:SHOWN]
    bad = [at for at in order[::-1] if at not in good][:SHOWN]
    best, worst = (
        tuple(_one(examples, row, index, probabilities, present, None) for row, index in some) for some in (good, bad)
    )
    return (
        best,
        worst,
        (
            "No boxes to rank by: the best are the positives with the highest probability, the worst are the labels of"
            " images, positive or not, whose probability is farthest from the truth."
        ),
    )


def _ends(order: Sequence[Ranked]) -> tuple[tuple[Ranked, ...], tuple[Ranked, ...]]:
    count = min(SHOWN, len(order) // 2)
    return tuple(order[:count]), tuple(order[-count:][::-1])


def _one(
    examples: Examples,
    row: int,
    index: int,
    probabilities: NDArray[np.float64],
    present: dict[str, NDArray[np.bool_]],
    overlap: float | None,
) -> Ranked:
    label = examples.labels[index]
    return Ranked(
        image=examples.files[row].name,
        label=label,
        truth=bool(examples.truth[row, index]),
        probability=round(float(probabilities[row, index]), 4),
        present=bool(present[label][row]),
        overlap=None if overlap is None else round(overlap, 4),
    )
