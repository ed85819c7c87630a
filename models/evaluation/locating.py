"""Peaks and regions against radiologists' boxes and masks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Box, Examples
from models.data.images import file_size
from models.evaluation.annotations import SAME_FINDING
from models.evaluation.figures import FALSE_REGIONS, Located, Masked, Pointing
from models.evaluation.records import Location
from models.metrics.boxes import best_overlaps, hits
from models.metrics.draws import Figure, figure
from models.metrics.froc import Marks, froc_curve, froc_sensitivity
from models.regions import MOST_REGIONS

LEAST_OVERLAP = 0.1  # IoU from which a region is on a box, in FROC
CENTRE_PART = 1 / 3  # of width and height, where the training split has no boxes


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """What the locations of a split are measured with: its rows, (draws, N) weights, and (N,) presence by label."""

    examples: Examples
    weights: NDArray[np.float64]
    present: dict[str, NDArray[np.bool_]]

    def negative(self, location: Location, label: str) -> bool:
        """Whether the image is known to be without the finding, and so without a box."""
        labels = self.examples.labels
        return label in labels and not location.boxes and not self.examples.truth[location.row, labels.index(label)]

    def mean(self, values: Sequence[float] | NDArray[np.float64], rows: Sequence[int]) -> Figure:
        """Mean of values that belong to rows, with its interval."""
        if not len(values):
            return Figure(None)
        weights = self.weights[:, list(rows)]
        total = weights.sum(1)
        drawn = (weights @ np.asarray(values, np.float64))[total > 0] / total[total > 0]
        return figure(float(np.mean(values)), drawn)


def located(method: str, label: str, locations: Sequence[Location], split: Split, *, calls: bool) -> Located | None:
    """All figures of one method for one label; None where no image has a box. `calls`: the method has probabilities."""
    boxed = [location for location in locations if location.boxes]
    if not boxed:
        return None
    flat = [(value, location.row) for location in boxed for value in overlaps(location)]
    rows = [row for _, row in flat]
    seen = [location for location in locations if location.boxes or split.negative(location, label)]
    marks = Marks.of([(location.regions, rectangles(location.boxes)) for location in seen], LEAST_OVERLAP)
    false, found = froc_curve(marks)
    return Located(
        method=method,
        label=label,
        boxes=", ".join(sorted({box.label for location in boxed for box in location.boxes})),
        images=len(boxed),
        box_count=len(flat),
        called=sum(bool(split.present[label][location.row]) for location in boxed) if calls else None,
        pointing=split.mean(
            [hits(location.peak, rectangles(location.boxes)) for location in boxed], [one.row for one in boxed]
        ),
        overlap_10=split.mean([value >= 0.1 for value, _ in flat], rows),
        overlap_50=split.mean([value >= 0.5 for value, _ in flat], rows),
        froc_images=len(seen),
        froc=_froc(marks, split.weights[:, [location.row for location in seen]]),
        curve=tuple((round(float(x), 4), round(float(y), 4)) for x, y in zip(false, found, strict=True)),
    )


def _froc(marks: Marks, weights: NDArray[np.float64]) -> tuple[Figure, ...]:
    once = froc_sensitivity(marks, FALSE_REGIONS)
    drawn = froc_sensitivity(marks, FALSE_REGIONS, weights)
    return tuple(figure(float(value), drawn[:, at]) for at, value in enumerate(once))


def masked(method: str, label: str, locations: Sequence[Location], split: Split) -> Masked | None:
    """Dice and Hausdorff distance of one method for one label; None where no image has a mask."""
    shared = [(location.row, location.overlap) for location in locations if location.overlap is not None]
    if not shared:
        return None
    apart = [(row, distance) for row, (_, distance) in shared if distance is not None]
    return Masked(
        method=method,
        label=label,
        images=len(shared),
        dice=split.mean([value for _, (value, _) in shared], [row for row, _ in shared]),
        hausdorff=split.mean([distance for _, distance in apart], [row for row, _ in apart]),
        without_region=len(shared) - len(apart),
    )


def best_overlap(location: Location) -> float:
    """IoU of the region and the box that agree best."""
    return max(overlaps(location), default=0.0)


def overlaps(location: Location) -> list[float]:
    """For each box the best IoU of a region, of those that are reported."""
    return best_overlaps([rectangle for rectangle, _ in location.regions[:MOST_REGIONS]], rectangles(location.boxes))


def rectangles(boxes: Sequence[Box]) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) of boxes."""
    return [box.rectangle for box in boxes]


def pointing(locations: dict[str, list[Location]]) -> tuple[Pointing, ...]:
    """The pointing game of each kind of box by itself."""
    kinds: dict[str, list[tuple[Location, list[Box]]]] = defaultdict(list)
    for some in locations.values():
        for location in some:
            for kind in {box.label for box in location.boxes}:
                kinds[kind].append((location, [box for box in location.boxes if box.label == kind]))
    return tuple(_pointing(kind, kinds[kind]) for kind in sorted(kinds))


def _pointing(kind: str, locations: list[tuple[Location, list[Box]]]) -> Pointing:
    covered = [
        sum(w * h for _, _, w, h in rectangles(boxes)) / math.prod(location.size) for location, boxes in locations
    ]
    return Pointing(
        boxes=kind,
        label=SAME_FINDING.get(kind, kind),
        images=len(locations),
        hits=sum(hits(location.peak, rectangles(boxes)) for location, boxes in locations),
        centre_hits=sum(hits((s.size[1] / 2, s.size[0] / 2), rectangles(boxes)) for s, boxes in locations),
        chance=round(float(np.mean(covered)), 3),
    )


def centre_parts(
    folder: Path, boxes: Sequence[Box], train: Sequence[Path], labels: Sequence[str]
) -> tuple[dict[str, tuple[float, float]], str]:
    """(width, height) of each label's centre box as parts of the image, and a sentence on where they are from."""
    names = {path.name for path in train}
    parts: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for box in boxes:
        if box.image in names:
            rows, columns = file_size(folder / "images" / box.image)
            parts[SAME_FINDING.get(box.label, box.label)].append((box.rectangle[2] / columns, box.rectangle[3] / rows))
    learned = [label for label in labels if parts[label]]
    result = dict.fromkeys(labels, (CENTRE_PART, CENTRE_PART))
    for label in learned:
        across, down = np.mean(parts[label], axis=0)
        result[label] = float(across), float(down)
    where = (
        "a box in the image's centre, a third of its width and height (the training split has no boxes to learn a size)"
    )
    if learned:
        where = f"a box in the image's centre, of the mean box size of the training split for {', '.join(learned)}"
        where += "" if len(learned) == len(labels) else ", a third of width and height for the other labels"
    return result, where
