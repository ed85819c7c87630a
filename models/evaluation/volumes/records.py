"""What each method shows on each volume: a few numbers, so that memory does not grow with the volumes."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.data.volumes.maps import on_grid
from models.data.volumes.volume import Volume
from models.evaluation.volumes.dice import DiceTable
from models.evaluation.volumes.lesions import NEAR_MM, Lesions
from models.evaluation.volumes.marks import Mark, marks_of
from models.evaluation.volumes.methods import VolumeMethod
from models.metrics.masks import dice
from models.predicting.volume_regions import VolumeRegion, volume_regions

LEAST_OVERLAP = 0.1  # IoU from which a region is on a lesion wherever its peak lies
TOP_SLICES = (1, 3, 5)  # the slices of so many marks


@dataclass(frozen=True, slots=True)
class Hits:
    """Where a point lies, 0 or 1 each, or by chance between them: whether in a slice of the mask, in it, near it.

    `slices` has one for each of `TOP_SLICES`; a point alone has the same in all.
    """

    slices: tuple[float, ...]
    pointing: float
    near: float


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of a label at the card's threshold: lesions that they find, regions that are on none, Dice."""

    found: int
    false: int
    dice: float | None
    """None without a mask."""


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """One method and label on one volume that has lesions of the label, or is known to have none."""

    row: int
    lesions: int
    hits: Hits | None
    """None on a volume without lesions."""
    marks: tuple[tuple[float, int], ...]
    """(score, lesion that it is on or 0) of each mark."""
    regions: Regions | None
    """None without a card's threshold."""
    table: DiceTable | None


@dataclass(slots=True, eq=False)
class MethodRecord:
    """One method on all volumes so far."""

    method: VolumeMethod
    logits: list[NDArray[np.float64]] = field(default_factory=list)
    spots: dict[str, list[Spot]] = field(default_factory=lambda: defaultdict(list))
    left_out: int = 0
    """Volumes that it did not analyse."""

    def add(self, row: int, volume: Volume, lesions: dict[str, Lesions | None]) -> None:
        """Record one volume; `lesions` has the located labels on it, None where a label is known to be absent."""
        logits, saliency, analysed = self.method(volume)
        self.logits.append(logits.astype(np.float64))
        self.left_out += not analysed
        for label, found in lesions.items():
            if label in self.method.labels:
                chart = saliency[self.method.labels.index(label)]
                self.spots[label].append(self._spot(row, label, chart, volume, found, analysed=analysed))

    def _spot(
        self,
        row: int,
        label: str,
        saliency: NDArray[np.float32],
        volume: Volume,
        lesions: Lesions | None,
        *,
        analysed: bool,
    ) -> Spot:
        marks = marks_of(saliency, volume.array.shape, volume.spacing)
        rule = self.method.rule(label)
        shown = () if rule is None or not analysed else volume_regions(saliency, volume, rule)
        table = None
        if lesions is not None and not lesions.outlined.is_box:
            table = DiceTable.of(on_grid(saliency, volume.array.shape), lesions.mask)
        return Spot(
            row=row,
            lesions=0 if lesions is None else lesions.count,
            hits=None if lesions is None else hits_of(marks, lesions),
            marks=tuple((mark.score, lesions.number(mark.at) if lesions else 0) for mark in marks),
            regions=None if rule is None else _regions(shown, lesions),
            table=table,
        )


def hits_of(marks: tuple[Mark, ...], lesions: Lesions) -> Hits:
    """Where the best mark lies; all 0 for a map that points nowhere."""
    met = lesions.slices()
    slices = tuple(float(any(met[mark.at[0]] for mark in marks[:count])) for count in TOP_SLICES)
    away = lesions.away(marks[0].at) if marks else math.inf
    return Hits(slices, float(away == 0), float(away <= NEAR_MM))


def _regions(shown: tuple[VolumeRegion, ...], lesions: Lesions | None) -> Regions:
    if lesions is None:
        return Regions(0, len(shown), None)
    on = [{lesions.number(one.peak)} - {0} | lesions.overlapped(one.mask, LEAST_OVERLAP) for one in shown]
    overlap = None
    if not lesions.outlined.is_box:
        union = np.any([one.mask for one in shown], axis=0) if shown else np.zeros_like(lesions.mask)
        overlap = dice(union, lesions.mask)
    return Regions(len(set().union(*on)), sum(not one for one in on), overlap)
