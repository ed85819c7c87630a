"""The volumes of one split with what is known of them: labels, outlined lesions, boxes, lungs.

Two kinds of folders are read: with a column of 0 and 1 for findings in labels.csv, and without, where masks and boxes
alone say what is there. What no column says is not known, and never counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.volumes.boxes import VolumeBox, box_mask, read_volume_boxes
from models.data.volumes.folders import SUFFIX, VolumeExamples, labelled, masks_of, read_volume_examples
from models.data.volumes.nifti import read_nifti_mask
from models.data.volumes.reading import read_volume
from models.data.volumes.volume import Volume

LUNGS = "lungs"
LESION_WORDS = frozenset({"nodule", "tumour", "tumor", "mass", "lesion"})

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """A lesion on a volume: its mask (d, h, w), or only the box around it."""

    mask: Mask
    is_box: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The volumes of one split, for the labels of a card.

    `examples.labels` are those that labels.csv knows; `known` are their columns in `labels`.
    """

    labels: tuple[str, ...]
    examples: VolumeExamples
    boxes: tuple[VolumeBox, ...]

    @classmethod
    def read(cls, folder: Path, split: str, labels: Sequence[str]) -> Cases:
        """DataError where the folder is not what `models.data.volumes.folders` reads, or the split has no rows."""
        columns = [label for label in labels if label in labelled(folder)]
        return cls(tuple(labels), read_volume_examples(folder, split, columns), read_volume_boxes(folder))

    def __len__(self) -> int:
        return len(self.examples)

    def truth(self, row: int, label: str) -> bool | None:
        """Whether the finding is there by labels.csv; None where that has no column for it."""
        known = self.examples.labels
        return bool(self.examples.truth[row, known.index(label)]) if label in known else None

    def volume(self, row: int) -> Volume:
        """Read one volume; DataError where it cannot be."""
        return read_volume(self.examples.files[row])

    def located(self) -> tuple[str, ...]:
        """Labels that have a mask or a box on some volume of the split, in the card's order."""
        names = {name for row in range(len(self)) for name, _ in self._shapes(row)}
        found = {label for name in names for label in labels_of(name, self.labels)}
        return tuple(label for label in self.labels if label in found)

    def foreign(self) -> tuple[str, ...]:
        """Names of masks and boxes that belong to no label."""
        names = {name for row in range(len(self)) for name, _ in self._shapes(row)}
        return tuple(sorted(name for name in names if not labels_of(name, self.labels)))

    def outlined(self, row: int, label: str, volume: Volume) -> Outlined | None:
        """All lesions of a label on one volume together: its masks where there are any, else its boxes."""
        shapes = [shape for name, shape in self._shapes(row) if label in labels_of(name, self.labels)]
        masks = [read_nifti_mask(shape, volume) for shape in shapes if isinstance(shape, Path)]
        drawn = [box_mask(box, self.examples.files[row], volume) for box in shapes if isinstance(box, VolumeBox)]
        union: Mask = np.any(masks or drawn, axis=0) if shapes else np.zeros(1, np.bool_)
        return Outlined(union, not masks) if union.any() else None

    def lungs(self, row: int, volume: Volume) -> Mask | None:
        """The mask NAME.lungs.nii.gz; None where there is none."""
        path = masks_of(self.examples.files[row]).get(LUNGS)
        return None if path is None else read_nifti_mask(path, volume)

    def _shapes(self, row: int) -> Iterator[tuple[str, Path | VolumeBox]]:
        """(name, mask or box) of one volume."""
        file = self.examples.files[row]
        yield from ((name, path) for name, path in masks_of(file).items() if name != LUNGS)
        series = file.name.removesuffix(SUFFIX)
        yield from ((box.finding, box) for box in self.boxes if box.series == series)


def labels_of(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a mask or box of this name is of.

    One that is called exactly as a label is that label's. Else one with a word for a located lesion in its name
    ("nodule", "tumour (GTV contour)") is of every label with such a word in its name: Nodule, Mass.
    """
    if name in labels:
        return (name,)
    alike = tuple(label for label in labels if _words(label) == _words(name))
    if _is_lesion(name):
        return tuple(label for label in labels if _is_lesion(label))
    return alike


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


def _is_lesion(name: str) -> bool:
    return any(word in LESION_WORDS or word.removesuffix("s") in LESION_WORDS for word in _words(name))
