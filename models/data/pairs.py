"""Folders of radiographs with masks: pairs.csv (image, mask, patient, split) beside the files that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import read_examples
from models.data.images import read_image
from models.data.tables import read_rows, refuse_crossing
from models.errors import DataError
from models.plurals import counted

PAIRS, LABELS = "pairs.csv", "labels.csv"
COLUMNS = ("split", "image", "mask", "patient")


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Image and mask files of one split; `patients` are numbers."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    patients: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, index: NDArray[np.int64]) -> Pairs:
        """These rows alone."""
        return Pairs(
            tuple(self.images[row] for row in index), tuple(self.masks[row] for row in index), self.patients[index]
        )


def read_pairs(folder: Path, split: str) -> Pairs:
    """The rows of one split.

    Raises
    ------
    DataError
        The file, a column or an image is missing, a patient is in two splits, or the split has no rows.
    """
    path = folder / PAIRS
    rows = read_rows(path, COLUMNS, f"; the folder needs {PAIRS} and its files")
    refuse_crossing(path, ((row["patient"], row["split"]) for row in rows))
    rows = [row for row in rows if row["split"] == split]
    if not rows:
        raise DataError(f'{path} has no rows whose split is "{split}".')
    images, masks = (tuple(folder / row[name] for row in rows) for name in ("image", "mask"))
    lost = [one for one in (*images, *masks) if not one.is_file()]
    if lost:
        raise DataError(f"{counted(len(lost), 'file')} of {path} not found, the first: {lost[0]}.")
    return Pairs(images, masks, np.unique([row["patient"] for row in rows], return_inverse=True)[1])


def without_masks(folder: Path) -> tuple[Path, ...]:
    """The training images of the folder above where it holds labels.csv; none where it does not."""
    above = folder.absolute().parent
    return read_examples(above, "train", []).files if (above / LABELS).is_file() else ()


def read_squares(files: tuple[Path, ...], side: int) -> NDArray[np.uint8]:
    """The files as (N, side, side), 0 (black) to 255, letterboxed."""
    return np.stack([np.round(255 * read_image(file, (side, side))).astype(np.uint8) for file in files])
