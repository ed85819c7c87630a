"""From records of single volumes to figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.volumes import figures
from models.evaluation.volumes.baselines import BlindSpot
from models.evaluation.volumes.dice import DiceTable, best_threshold
from models.evaluation.volumes.figures import FALSE_MARKS
from models.evaluation.volumes.records import TOP_SLICES, Spot
from models.metrics.draws import Figure, figure, patient_draws, ratio
from models.metrics.froc import Marks, froc_curve, froc_sensitivity

NONE = Figure(None)
WILSON = 1.96


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The patients (N,) of a split's rows, and (draws, N) how often each row is in each draw."""

    patients: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, patients: NDArray[np.int64]) -> Draws:
        """Draws of whole patients."""
        return cls(patients, patient_draws(patients))

    def mean(self, values: Sequence[float] | NDArray[np.float64], rows: Sequence[int]) -> Figure:
        """Mean of values that belong to rows; where all are 0 or all 1 its interval is Wilson's over the patients."""
        if not len(values):
            return NONE
        once = self.ratio(values, np.ones(len(values)), rows)
        if once.low is None and once.value in (0.0, 1.0):
            count = len({int(self.patients[row]) for row in rows})
            end = round(WILSON**2 / (count + WILSON**2), 4)
            return Figure(once.value, 0.0, end) if once.value == 0.0 else Figure(1.0, round(1 - end, 4), 1.0)
        return once

    def difference(self, one: NDArray[np.float64], other: NDArray[np.float64], rows: Sequence[int]) -> Figure:
        """Mean of the differences of two values a row."""
        return self.ratio(one - other, np.ones(len(rows)), rows)

    def ratio(
        self,
        parts: Sequence[float] | NDArray[np.float64],
        wholes: Sequence[float] | NDArray[np.float64],
        rows: Sequence[int],
    ) -> Figure:
        """Sum of parts over sum of wholes, both of rows."""
        weights = self.weights[:, list(rows)]
        part, whole = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
        total = float(whole.sum())
        return figure(float(part.sum()) / total if total else math.nan, ratio(weights @ part, weights @ whole))


def located(
    method: str,
    label: str,
    spots: Sequence[Spot],
    present: NDArray[np.bool_] | None,
    chosen: DiceChoice | None,
    draws: Draws,
) -> figures.Located | None:
    """All figures of one method for one label, or None where no volume has a lesion.

    Parameters
    ----------
    present
        Of each spot, whether the label is present; None for a method without thresholds.
    """
    with_lesions = [spot for spot in spots if spot.hits is not None]
    if not with_lesions:
        return None
    rows = [spot.row for spot in with_lesions]
    hits = [spot.hits for spot in with_lesions if spot.hits is not None]
    overlaps = [
        (spot.regions.dice, spot.row) for spot in with_lesions if spot.regions and spot.regions.dice is not None
    ]
    found, false = _regions(spots, present, draws)
    marks = marks_over(spots)
    curve = froc_curve(marks)
    lesioned = None if present is None else [bool(p) for p, spot in zip(present, spots, strict=True) if spot.lesions]
    return figures.Located(
        method=method,
        label=label,
        volumes=len(with_lesions),
        lesions=sum(spot.lesions for spot in with_lesions),
        slices=tuple(draws.mean([one.slices[at] for one in hits], rows) for at in range(len(TOP_SLICES))),
        pointing=draws.mean([one.pointing for one in hits], rows),
        near=draws.mean([one.near for one in hits], rows),
        present=None if lesioned is None else sum(lesioned),
        dice=draws.mean([value for value, _ in overlaps], [row for _, row in overlaps]),
        best_dice=NONE if chosen is None else draws.mean(chosen.dice, chosen.rows),
        best_threshold=None if chosen is None else chosen.threshold,
        found=found,
        false_regions=false,
        scans=len(spots),
        froc=_froc(marks, draws.weights[:, [spot.row for spot in spots]]),
        curve=tuple((round(float(x), 4), round(float(y), 4)) for x, y in zip(*curve, strict=True)),
    )


def _regions(spots: Sequence[Spot], present: NDArray[np.bool_] | None, draws: Draws) -> tuple[Figure, Figure]:
    """Lesions found over lesions, and false regions over scans, where the label is present."""
    if present is None or any(spot.regions is None for spot in spots):
        return NONE, NONE
    rows = [spot.row for spot in spots]
    shown = [spot.regions if there else None for spot, there in zip(spots, present, strict=True)]
    found = [one.found if one else 0.0 for one in shown]
    false = [one.false if one else 0.0 for one in shown]
    lesions = [float(spot.lesions) for spot in spots]
    return draws.ratio(found, lesions, rows), draws.ratio(false, np.ones(len(rows)), rows)


def marks_over(spots: Sequence[Spot]) -> Marks:
    """The marks of all spots against their lesions: of several on one lesion the best counts, and none is false."""
    found, found_in, false, false_in = list[float](), list[int](), list[float](), list[int]()
    for number, spot in enumerate(spots):
        for lesion in range(1, spot.lesions + 1):
            found.append(max((score for score, on in spot.marks if on == lesion), default=-math.inf))
            found_in.append(number)
        for score, on in spot.marks:
            if not on:
                false.append(score)
                false_in.append(number)
    scores = (np.array(one, np.float64) for one in (found, false))
    at_lesion, elsewhere = scores
    return Marks(at_lesion, np.array(found_in, np.intp), elsewhere, np.array(false_in, np.intp), len(spots))


def _froc(marks: Marks, weights: NDArray[np.float64]) -> tuple[Figure, ...]:
    once = froc_sensitivity(marks, FALSE_MARKS)
    drawn = froc_sensitivity(marks, FALSE_MARKS, weights)
    return tuple(figure(float(value), drawn[:, at]) for at, value in enumerate(once))


@dataclass(frozen=True, slots=True, eq=False)
class DiceChoice:
    """Dice of each volume with a mask at a threshold that was chosen without it; None: one for each patient."""

    dice: list[float]
    rows: list[int]
    threshold: float | None


def chosen_dice(
    spots: Sequence[Spot], patients: NDArray[np.int64], elsewhere: Sequence[DiceTable]
) -> DiceChoice | None:
    """By the tables of another split, or, where it has none, of the other patients; None with one patient alone."""
    tables = [(spot.row, spot.table) for spot in spots if spot.table is not None]
    dice, rows = [], []
    threshold = best_threshold(elsewhere) if elsewhere else None
    for row, table in tables:
        others = [other for at, other in tables if patients[at] != patients[row]]
        if threshold is None and not others:
            continue
        used = best_threshold(others) if threshold is None else threshold
        dice.append(float(table.at(np.array([used]))[0]))
        rows.append(row)
    return DiceChoice(dice, rows, threshold) if rows else None


Part = tuple[Sequence[Spot], NDArray[np.bool_] | None, DiceChoice | None]
"""Spots of one label, whether it is present in each, and their Dice at a chosen threshold."""


def pooled(parts: Sequence[Part]) -> Part:
    """Several labels of one method as if they were one."""
    present = [there for _, there, _ in parts if there is not None]
    choices = [choice for _, _, choice in parts if choice is not None]
    choice = DiceChoice(
        dice=[value for one in choices for value in one.dice],
        rows=[row for one in choices for row in one.rows],
        threshold=None,
    )
    spots = [spot for some, _, _ in parts for spot in some]
    return spots, np.concatenate(present) if present else None, choice if choices else None


def blind(label: str, spots: dict[str, list[BlindSpot]], draws: Draws) -> Iterator[figures.Blind]:
    """All baselines of one label."""
    for name, some in spots.items():
        rows = [spot.row for spot in some]
        overlaps = [(spot.dice, spot.row) for spot in some if spot.dice is not None]
        yield figures.Blind(
            baseline=name,
            label=label,
            volumes=len(some),
            slices=draws.mean([spot.hits.slices[0] for spot in some], rows),
            pointing=draws.mean([spot.hits.pointing for spot in some], rows),
            near=draws.mean([spot.hits.near for spot in some], rows),
            dice=draws.mean([value for value, _ in overlaps], [row for _, row in overlaps]),
        )
