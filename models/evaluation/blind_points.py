"""Points that localize nothing by evidence of their own: the lungs, their lower zones, the map cut to the lungs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Box
from models.data.images import read_grey
from models.evaluation.annotations import Annotations
from models.metrics.boxes import hits

Mask = NDArray[np.bool_]
Lungs = tuple[Mask, Mask]
LungMasks = Callable[[Path], Lungs | None]
"""The patient's right and left lung on an image file, (rows, columns) each; None where no lungs are seen."""

RANDOM_IN_IMAGE = "a random point of the image"
RANDOM_IN_LUNGS = "a random point within the lungs"
MAP_IN_LUNGS = "the package's map cut to the lungs"
LOWER_RIGHT = "the middle of the lower right lung"
BRIGHTER_LOWER = "the middle of whichever lower lung is brighter"
NOTES = {
    "random point": "its figure is the part of the image, or of the lungs, that the boxes cover",
    "mean map": "of the label's maps of all images of the split, whatever their labels",
    "lower lung": "the lower third of a lung's rows; its middle is the centre of the mask there",
    "brighter": "by the mean intensity of the two lower lungs",
}


@dataclass(slots=True, eq=False)
class BlindPoints:
    """For each label and baseline, by row: 1 where the point lies in a box, 0 where not, between by chance."""

    lungs: LungMasks | None
    hits: dict[str, dict[str, dict[int, float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))

    def add(self, label: str, row: int, path: Path, saliency: NDArray[np.float32], annotations: Annotations) -> None:
        """Record all of them on one image with boxes of the label; `saliency` (rows, columns) is the package's map."""
        boxes = annotations.boxes(path.name, label)
        inside = _inside(boxes, saliency.shape)
        self.hits[label][RANDOM_IN_IMAGE][row] = float(inside.mean())
        found = None if self.lungs is None else self.lungs(path)
        if found is None or not (found[0] | found[1]).any():
            return
        both = found[0] | found[1]
        self.hits[label][RANDOM_IN_LUNGS][row] = float(inside[both].mean())
        for name, point in _points(found, read_grey(path), saliency):
            self.hits[label][name][row] = float(hits(point, [box.rectangle for box in boxes]))


def _inside(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> Mask:
    """Pixels (rows, columns) whose centre lies in a box."""
    inside = np.zeros(shape, np.bool_)
    for x, y, width, height in (box.rectangle for box in boxes):
        first, last = (np.ceil(np.array([y, x]) - 0.5), np.ceil(np.array([y + height, x + width]) - 0.5))
        (top, left), (bottom, right) = (np.maximum(one, 0).astype(int) for one in (first, last))
        inside[top:bottom, left:right] = True
    return inside


def _points(
    lungs: Lungs, grey: NDArray[np.float32], saliency: NDArray[np.float32]
) -> Iterator[tuple[str, tuple[float, float]]]:
    """(baseline, point (x, y)) of the file."""
    row, column = np.unravel_index(int(np.where(lungs[0] | lungs[1], saliency, -np.inf).argmax()), saliency.shape)
    yield MAP_IN_LUNGS, (float(column) + 0.5, float(row) + 0.5)
    right, left = (_lower(lung) for lung in lungs)
    if right.any():
        yield LOWER_RIGHT, _middle(right)
    seen = [lower for lower in (right, left) if lower.any()]
    yield BRIGHTER_LOWER, _middle(max(seen, key=lambda lower: float(grey[lower].mean())))


def _lower(lung: Mask) -> Mask:
    """The lower third of the rows that a lung covers."""
    rows = np.flatnonzero(lung.any(axis=1))
    lower = lung.copy()
    lower[: rows[0] + round(2 * (rows[-1] + 1 - rows[0]) / 3) if rows.size else 0] = False
    return lower


def _middle(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
