"""Boxes and masks that people drew on the images of a folder, for a card's labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import Card
from models.data.datasets import Box
from models.errors import DataError

# RSNA's boxes are of pneumonia-like opacities, NIH's "Infiltrate" is its word for Infiltration.
SAME_FINDING = {"Lung Opacity": "Pneumonia", "Infiltrate": "Infiltration"}
FEWEST_BOXED = 10  # images with boxes, from which on a label has its own line in a comparison

Drawn = dict[str, dict[str, list[Box]]]
"""Boxes by image and kind."""


class Annotations:
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
