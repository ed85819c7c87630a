"""What one method says of every image of a split, gathered image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import Card
from models.data.datasets import Box, read_fitted
from models.data.letterbox import Letterbox
from models.errors import DataError
from models.metrics import Rectangle, dice, hausdorff, peak
from models.prediction import Model
from models.regions import MOST_REGIONS, Region, map_regions

# RSNA's boxes are of pneumonia-like opacities; no label of ours is called so.
SAME_FINDING = {"Lung Opacity": "Pneumonia"}
FEWEST_BOXED = 10  # images with boxes, from which on a label is worth a line in a comparison
MOST_FOR_FROC = 20  # more regions of one image are not false alarms but noise

Drawn = dict[str, dict[str, list[Box]]]
"""Boxes by image and kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a method says of one image.

    Attributes
    ----------
    probabilities
        (L,); None for a method that knows no findings.
    saliency
        (L, h, w), raw, over the whole input.
    thresholds, smallest
        (L,) region where the map reaches it; smallest region as a fraction of the image.
    """

    probabilities: NDArray[np.float64] | None
    saliency: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    smallest: NDArray[np.float64]


class Method(Protocol):
    """A way to look at images: the package, the package on other input, or one without a network."""

    @property
    def name(self) -> str: ...

    @property
    def note(self) -> str: ...

    def look(self, image: NDArray[np.float32], letterbox: Letterbox) -> Look:
        """Look at an image as `read_fitted` gives it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NetworkMethod:
    """The package itself, at the thresholds of its card."""

    model: Model
    name: str = "package"
    note: str = "the package as it is"

    def look(self, image: NDArray[np.float32], letterbox: Letterbox) -> Look:
        """Predict."""
        prediction, labels = self.model.predict(image), self.model.card.labels
        return Look(
            prediction.probabilities.astype(np.float64),
            prediction.saliency,
            np.array([label.saliency_threshold for label in labels]),
            np.array([label.smallest_region_fraction for label in labels]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
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
class Trace:
    """All that one method said: probabilities of N images and, of labels with boxes or masks, the spots."""

    method: Method
    labels: list[str]
    """Of the card, those whose spots are kept."""
    probabilities: list[NDArray[np.float64]] = field(default_factory=list)
    spots: dict[str, list[Spot]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True, eq=False)
class Centre:
    """The baseline of every localization: a box in the middle of each image, a fixed part of it."""

    parts: dict[str, tuple[float, float]]
    """(width, height) by label, 0..1."""
    note: str
    spots: dict[str, list[Spot]] = field(default_factory=lambda: defaultdict(list))

    def take(
        self, label: str, row: int, size: tuple[int, int], boxes: tuple[Box, ...], mask: NDArray[np.bool_] | None
    ) -> None:
        """Keep the middle of one image."""
        across, down = self.parts[label]
        width, height = across * size[1], down * size[0]
        rectangle = (size[1] - width) / 2, (size[0] - height) / 2, width, height
        overlap = None
        if mask is not None:
            x, y = round(rectangle[0]), round(rectangle[1])
            box = np.zeros_like(mask)
            box[y : size[0] - y, x : size[1] - x] = True
            overlap = dice(box, mask), hausdorff(box, mask)
        spot = Spot(row, (size[1] / 2, size[0] / 2), ((rectangle, 1.0),), boxes, size, overlap)
        self.spots[label].append(spot)


class Watch:
    """The boxes and masks that a folder has for a card's labels."""

    def __init__(self, folder: Path, boxes: Iterable[Box], card: Card, images: Iterable[str]) -> None:
        names, wanted = [label.name for label in card.labels], set(images)
        self.index = {name: index for index, name in enumerate(names)}
        self.masks = folder / "masks"
        self.drawn: Drawn = defaultdict(lambda: defaultdict(list))
        for box in boxes:
            if box.image in wanted and SAME_FINDING.get(box.label, box.label) in self.index:
                self.drawn[box.image][box.label].append(box)
        boxed = {SAME_FINDING.get(kind, kind) for kinds in self.drawn.values() for kind in kinds}
        self.labels = [name for name in names if name in boxed or (self.masks / name).is_dir()]

    def often(self) -> list[str]:
        """The labels with boxes on so many images that methods can be compared."""
        count = {name: sum(bool(self.boxes(image, name)) for image in self.drawn) for name in self.labels}
        return [name for name in self.labels if count[name] >= FEWEST_BOXED]

    def boxes(self, image: str, label: str) -> tuple[Box, ...]:
        """All boxes of one label on one image, whatever their kind is called."""
        kinds = self.drawn.get(image, {})
        return tuple(box for kind, some in kinds.items() if SAME_FINDING.get(kind, kind) == label for box in some)

    def mask(self, image: str, label: str, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """masks/LABEL/IMAGE.png, not black where the finding is; None where there is no such file."""
        folder = self.masks / label
        path = next(
            (one for one in (folder / f"{Path(image).stem}.png", folder / f"{image}.png") if one.is_file()), None
        )
        if path is None:
            return None
        with Image.open(path) as opened:
            mask = np.asarray(opened.convert("L")) > 0
        if mask.shape != size:
            raise DataError(f"{path} has {mask.shape} rows and columns and its image {size}: they must be the same.")
        return mask


def take(traces: Iterable[Trace], centre: Centre, watch: Watch, row: int, path: Path, size: tuple[int, int]) -> None:
    """Show one image to all methods and keep what they say."""
    image, letterbox = read_fitted(path, size)
    masks = {name: watch.mask(path.name, name, letterbox.file) for name in watch.labels}
    for name in watch.labels:
        centre.take(name, row, letterbox.file, watch.boxes(path.name, name), masks[name])
    for trace in traces:
        look = trace.method.look(image, letterbox)
        if look.probabilities is not None:
            trace.probabilities.append(look.probabilities)
        found: dict[int, tuple[Region, ...]] = {}
        for name in trace.labels:
            index = watch.index[name] if look.saliency.strides[0] else 0  # one map for all labels: once is enough
            if index not in found:
                found[index] = look_regions(look, index, letterbox, MOST_FOR_FROC)
            at = letterbox.in_file(peak(look.saliency[index], letterbox.size))
            trace.spots[name].append(
                spot_of(row, at, found[index], watch.boxes(path.name, name), masks[name], letterbox)
            )


def spot_of(
    row: int,
    at: tuple[float, float],
    found: tuple[Region, ...],
    boxes: tuple[Box, ...],
    mask: NDArray[np.bool_] | None,
    letterbox: Letterbox,
) -> Spot:
    """A peak and regions, with what they share with a mask."""
    overlap = None
    if mask is not None:
        union = np.any([region.mask for region in found[:MOST_REGIONS]], axis=0) if found else np.zeros_like(mask)
        overlap = dice(union, mask), hausdorff(union, mask)
    return Spot(
        row=row,
        peak=at,
        regions=tuple((region.rectangle, region.score) for region in found),
        boxes=boxes,
        size=letterbox.file,
        overlap=overlap,
    )


def look_regions(look: Look, index: int, letterbox: Letterbox, most: int) -> tuple[Region, ...]:
    """The regions of one label, the best first."""
    saliency = letterbox.to_file(look.saliency[index])
    return map_regions(saliency, float(look.thresholds[index]), float(look.smallest[index]), most)
