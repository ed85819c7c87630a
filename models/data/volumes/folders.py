"""Folders of labelled volumes: labels.csv, the volumes of each split, and masks beside them.

SPLIT/SERIES.nii.gz, or a folder SPLIT/SERIES of its DICOM slices; masks SPLIT/SERIES.FINDING.nii.gz.

labels.csv needs the columns split, series and patient (whoever shares an anatomy shares it), may have a column
collection, and one of 0 and 1 for each finding. A series without a file is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.datasets import flag
from models.data.tables import read_rows, refuse_crossing
from models.errors import DataError
from models.plurals import counted

NEEDED = ("split", "series", "patient")
SUFFIX = ".nii.gz"


@dataclass(frozen=True, slots=True, eq=False)
class VolumeExamples:
    """Rows of labels.csv: N volumes, L labels.

    `truth` is (N, L); `patients` (N,) numbers of anatomies, which never cross folds; `collections` (N,) names.
    """

    files: tuple[Path, ...]
    patients: NDArray[np.int64]
    collections: NDArray[np.str_]
    labels: tuple[str, ...]
    truth: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, index: NDArray[np.int64]) -> VolumeExamples:
        """These rows alone."""
        files = tuple(self.files[row] for row in index)
        return VolumeExamples(files, self.patients[index], self.collections[index], self.labels, self.truth[index])


def labelled(folder: Path) -> tuple[str, ...]:
    """The columns of labels.csv beside those that describe a series: the findings, if all their values are 0 or 1."""
    rows = _rows(folder)
    names = [name for name in rows[0] if name not in NEEDED] if rows else []
    return tuple(name for name in names if all(row[name] in ("0", "1") for row in rows))


def read_volume_examples(folder: Path, split: str, labels: Sequence[str]) -> VolumeExamples:
    """The volumes of one split with these labels.

    Raises
    ------
    DataError
        labels.csv or a column is missing, a label is neither 0 nor 1, the split has no rows, or a file is not there.
    """
    path = folder / "labels.csv"
    rows = [(number, row) for number, row in enumerate(_rows(folder, labels), start=2) if row["split"] == split]
    if not rows:
        raise DataError(f'{path} has no rows whose split is "{split}".')
    files = tuple(_place(folder / split, row["series"]) for _, row in rows)
    missing = [file for file in files if not file.exists()]
    if missing:
        raise DataError(
            f"{counted(len(missing), 'volume')} of labels.csv not found in {folder / split}, the first:"
            f" {missing[0].name}."
        )
    return VolumeExamples(
        files=files,
        patients=np.unique([row["patient"] for _, row in rows], return_inverse=True)[1].astype(np.int64),
        collections=np.array([row.get("collection") or "all" for _, row in rows]),
        labels=tuple(labels),
        truth=np.array([[flag(row[label], f"{path}, line {n}, {label}") for label in labels] for n, row in rows]),
    )


def masks_of(file: Path) -> dict[str, Path]:
    """The masks beside a volume by the name of what they outline: "nodule", "lungs", "Pneumothorax"."""
    name = file.name.removesuffix(SUFFIX)
    found = sorted(file.parent.glob(f"{name}.*{SUFFIX}"))
    return {one.name.removesuffix(SUFFIX)[len(name) + 1 :]: one for one in found}


def _place(folder: Path, series: str) -> Path:
    """The series' NIfTI file, or the folder of its DICOM slices where there is one and no file."""
    file, slices = folder / f"{series}{SUFFIX}", folder / series
    return slices if slices.is_dir() and not file.is_file() else file


def _rows(folder: Path, labels: Sequence[str] = ()) -> list[dict[str, str]]:
    path = folder / "labels.csv"
    rows = read_rows(path, (*NEEDED, *labels))
    refuse_crossing(path, ((row["patient"], row["split"]) for row in rows))
    return rows
