"""Folders of images with a mask for each label: pairs.csv (image, a column for each label, patient, split)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.pairs import PAIRS
from models.data.tables import read_rows
from models.errors import DataError

ONE = "mask"  # the column of a card with one label


@dataclass(frozen=True, slots=True, eq=False)
class LabelMasks:
    """Image files of one split; `masks` has a file for each label of an image, `patients` are as written."""

    images: tuple[Path, ...]
    masks: tuple[tuple[Path, ...], ...]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Patients as numbers."""
        return np.unique(self.patients, return_inverse=True)[1]


def read_label_masks(folder: Path, labels: Sequence[str], fitted: str, tested: str) -> tuple[LabelMasks, LabelMasks]:
    """The rows of the split that is fitted on and of the one that is measured.

    Raises
    ------
    DataError
        The file, a column, an image or a mask is missing, a split has no rows, or a patient is in both.
    """
    path = folder / PAIRS
    columns = [ONE] if len(labels) == 1 else list(labels)
    hint = f"the folder needs {PAIRS} and its files"
    rows = read_rows(path, ("image", *columns, "patient", "split"), hint)
    one, other = (_of_split(path, rows, columns, split) for split in (fitted, tested))
    both = sorted(set(one.patients) & set(other.patients))
    if both:
        raise DataError(f"{path}: {len(both)} patients are in {fitted} and in {tested}, the first: {both[0]}.")
    return one, other


def _of_split(path: Path, rows: list[dict[str, str]], columns: list[str], split: str) -> LabelMasks:
    own = [row for row in rows if row["split"] == split]
    if not own:
        raise DataError(f'{path} has no rows whose split is "{split}".')
    images = tuple(path.parent / row["image"] for row in own)
    masks = tuple(tuple(path.parent / row[name] for name in columns) for row in own)
    lost = [one for one in (*images, *(mask for each in masks for mask in each)) if not one.is_file()]
    if lost:
        raise DataError(f"{len(lost)} files of {path} are not there, the first: {lost[0]}.")
    return LabelMasks(images, masks, tuple(row["patient"] for row in own))
