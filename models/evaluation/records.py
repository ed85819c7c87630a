"""The results of one method on all images of a split, recorded image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import Box
from models.data.images import read_fitted
from models.data.letterbox import Letterbox
from models.evaluation.annotations import Annotations
from models.evaluation.blind_points import BlindPoints
from models.evaluation.methods import Method, output_regions
from models.metrics.boxes import Rectangle, peak
from models.metrics.masks import dice, hausdorff
from models.regions import MOST_REGIONS, Region

MOST_FOR_FROC = 20  # more regions of one image are not false alarms but noise


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """One label on one image, in pixels of the file."""

    row: int
    peak: tuple[float, float]
    regions: tuple[tuple[Rectangle, float], ...]
    """The best first, at most MOST_FOR_FROC."""
    boxes: tuple[Box, ...]
    size: tuple[int, int]
    overlap: tuple[float, float | None] | None = None
    """Dice and Hausdorff distance to a mask; None where there is no mask."""


@dataclass(slots=True, eq=False)
class MethodRecord:
    """The results of one method: probabilities of N images and, of labels with boxes or masks, the locations."""

    method: Method
    labels: list[str]
    """Of the card, those whose locations are kept."""
    size: tuple[int, int] | None = None
    """(rows, columns) of its input; None: that of the measured package."""
    probabilities: list[NDArray[np.float64]] = field(default_factory=list)
    locations: dict[str, list[Location]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Of the maps (h, w) of all images, by label."""

    def add_map(self, label: str, saliency: NDArray[np.float32]) -> None:
        """Add one image's map to the sum of its label."""
        self.sums[label] = self.sums.get(label, 0.0) + saliency.astype(np.float64)


@dataclass(slots=True, eq=False)
class CentreBox:
    """The baseline of every localization: a box in the middle of each image, a fixed part of it."""

    parts: dict[str, tuple[float, float]]
    """(width, height) by label, 0..1."""
    note: str
    locations: dict[str, list[Location]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self, label: str, row: int, size: tuple[int, int], boxes: tuple[Box, ...], mask: NDArray[np.bool_] | None
    ) -> None:
        """Record the middle of one image."""
        across, down = self.parts[label]
        width, height = across * size[1], down * size[0]
        rectangle = (size[1] - width) / 2, (size[0] - height) / 2, width, height
        overlap = None
        if mask is not None:
            x, y = round(rectangle[0]), round(rectangle[1])
            box = np.zeros_like(mask)
            box[y : size[0] - y, x : size[1] - x] = True
            overlap = dice(box, mask), hausdorff(box, mask)
        location = Location(row, (size[1] / 2, size[0] / 2), ((rectangle, 1.0),), boxes, size, overlap)
        self.locations[label].append(location)


def record_image(
    records: Sequence[MethodRecord],
    centre: CentreBox,
    points: BlindPoints,
    annotations: Annotations,
    row: int,
    path: Path,
    size: tuple[int, int],
) -> None:
    """Run all methods on one image and record their results; the first record is the measured package's."""
    fitted = {one: read_fitted(path, one) for one in {size, *(record.size or size for record in records)}}
    image, letterbox = fitted[size]
    masks = {name: annotations.mask(path.name, name, letterbox.file) for name in annotations.labels}
    for name in annotations.labels:
        centre.add(name, row, letterbox.file, annotations.boxes(path.name, name), masks[name])
    for record in records:
        image, letterbox = fitted[record.size or size]
        output = record.method.predict(image, letterbox)
        if output.probabilities is not None:
            record.probabilities.append(output.probabilities)
        found: dict[int, tuple[Region, ...]] = {}
        for name in record.labels:
            index = (
                annotations.index[name] if output.saliency.strides[0] else 0
            )  # one map for all labels: once is enough
            if index not in found:
                found[index] = output_regions(output, index, letterbox, MOST_FOR_FROC)
            record.add_map(name, output.saliency[index])
            if record is records[0] and annotations.boxes(path.name, name):
                points.add(name, row, path, letterbox.to_file(output.saliency[index]), annotations)
            at = letterbox.in_file(peak(output.saliency[index], letterbox.size))
            record.locations[name].append(
                location_of(row, at, found[index], annotations.boxes(path.name, name), masks[name], letterbox)
            )


def location_of(
    row: int,
    at: tuple[float, float],
    found: tuple[Region, ...],
    boxes: tuple[Box, ...],
    mask: NDArray[np.bool_] | None,
    letterbox: Letterbox,
) -> Location:
    """A peak and regions, with what they share with a mask."""
    overlap = None
    if mask is not None:
        union = np.any([region.mask for region in found[:MOST_REGIONS]], axis=0) if found else np.zeros_like(mask)
        overlap = dice(union, mask), hausdorff(union, mask)
    return Location(
        row=row,
        peak=at,
        regions=tuple((region.rectangle, region.score) for region in found),
        boxes=boxes,
        size=letterbox.file,
        overlap=overlap,
    )
