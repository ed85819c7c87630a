"""Folders of labelled images: labels.csv, images/, and boxes.csv where there is one.

labels.csv has the columns split, image and patient (or group: whoever shares it stays together), and either a column of
0 and 1 for each label, or one column class whose values are names of labels: exclusive classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.tables import column_names, number, read_rows, refuse_crossing
from models.errors import DataError
from models.plurals import counted

NEEDED = ("split", "image", "patient")
CLASS, GROUP = "class", "group"
HINT = "; the folder needs labels.csv and images/"


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Rows of labels.csv.

    `truth` is (N, L); `metadata` (N, 4): view is AP, sex is M, age / 100, follow-up / 10; `teacher` (N, L) the
    probabilities of another model, NaN where it has none.
    """

    files: tuple[Path, ...]
    patients: NDArray[np.int64]
    sources: NDArray[np.str_]
    labels: tuple[str, ...]
    truth: NDArray[np.bool_]
    metadata: NDArray[np.float64]
    teacher: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, index: NDArray[np.int64]) -> Examples:
        """These rows alone."""
        arrays = (self.truth[index], self.metadata[index], self.teacher[index])
        files = tuple(self.files[row] for row in index)
        return Examples(files, self.patients[index], self.sources[index], self.labels, *arrays)


@dataclass(frozen=True, slots=True)
class Box:
    """One outlined finding: (x, y, width, height) in pixels of the image file."""

    image: str
    label: str
    rectangle: tuple[float, float, float, float]


def label_columns(folder: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """Those of the labels that labels.csv has a column for; all of them where it has the column class."""
    rows = _labelled_rows(folder / "labels.csv")
    return tuple(label for label in labels if rows and (label in rows[0] or CLASS in rows[0]))


def splits(folder: Path) -> set[str]:
    """The splits that labels.csv names."""
    return {row["split"] for row in _labelled_rows(folder / "labels.csv")}


def read_examples(folder: Path, split: str, labels: Sequence[str]) -> Examples:
    """The rows of one split; in a label's column 1 means present and 0 absent.

    Columns split, image, patient (or group) and one for each label (or class) are needed; source, view, sex, age,
    follow_up may be there. A class is the label of that name, whatever its capitals.
    teacher.csv beside it, with a column image and some of the labels, may hold another model's probabilities.

    Raises
    ------
    DataError
        A file or a column is missing, a label is neither 0 nor 1, a class is none of the labels, a patient is in two
        splits, or the split has no rows.
    """
    path = folder / "labels.csv"
    every = _labelled_rows(path, labels)
    refuse_crossing(path, ((row["patient"], row["split"]) for row in every))
    numbered = [(n, row) for n, row in enumerate(every, start=2) if row["split"] == split]
    if not numbered:
        raise DataError(f'{path} has no rows whose split is "{split}".')
    truth = [_flags(row, labels, f"{path}, line {line}") for line, row in numbered]
    rows = [row for _, row in numbered]
    return Examples(
        files=tuple(folder / "images" / row["image"] for row in rows),
        patients=np.unique([row["patient"] for row in rows], return_inverse=True)[1],
        sources=np.array([row.get("source") or "all" for row in rows]),
        labels=tuple(labels),
        truth=np.array(truth),
        metadata=np.array([_metadata(row, f"{path}, line {line}") for line, row in numbered]),
        teacher=_teacher(folder, [row["image"] for row in rows], labels),
    )


def _teacher(folder: Path, images: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """(N, L), NaN where teacher.csv has no row or no column."""
    path = folder / "teacher.csv"
    there = [label for label in labels if path.is_file() and label in column_names(path)]
    scores, found = read_scores(path, there), np.full((len(images), len(labels)), np.nan)
    rows = [row for row, image in enumerate(images) if image in scores]
    if rows and there:
        columns = [labels.index(label) for label in there]
        found[np.ix_(rows, columns)] = np.array([scores[images[row]] for row in rows])
    return found


def require_images(examples: Examples) -> None:
    """DataError where image files are missing, before hours are spent on those that are there."""
    missing = [path for path in examples.files if not path.is_file()]
    if missing:
        raise DataError(
            f"{counted(len(missing), 'image')} of labels.csv not found in {missing[0].parent}, the first:"
            f" {missing[0].name}."
        )


def _flags(row: dict[str, str], labels: Sequence[str], where: str) -> list[bool]:
    """Of each label whether the row has it."""
    if all(label in row for label in labels):
        return [flag(row[label], f"{where}, {label}") for label in labels]
    of_class = [_folded(label) == _folded(row[CLASS]) for label in labels]
    if not any(of_class):
        raise DataError(f"{where}: the class {row[CLASS]!r} is none of {', '.join(labels)}.")
    return of_class


def _folded(name: str) -> str:
    return name.strip().replace(" ", "_").casefold()


def flag(text: str, where: str) -> bool:
    """Whether a label is present; DataError where it is neither 1 nor 0."""
    flags = {"0": False, "0.0": False, "1": True, "1.0": True}
    found = text.strip().replace(",", ".")
    if found not in flags:
        raise DataError(f"{where}: {text!r} is neither 0 nor 1.")
    return flags[found]


def read_boxes(folder: Path) -> tuple[Box, ...]:
    """The rows of boxes.csv; none where there is no such file."""
    path = folder / "boxes.csv"
    if not path.is_file():
        return ()
    rows = read_rows(path, ("image", "label", "x", "y", "width", "height"))
    return tuple(
        Box(row["image"], row["label"], (sides[0], sides[1], sides[2], sides[3]))
        for line, row in enumerate(rows, start=2)
        for sides in [[number(row[name], f"{path}, line {line}, {name}") for name in ("x", "y", "width", "height")]]
    )


def read_scores(path: Path, labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Scores (L,) of images by their file name, of a table with the columns image and labels; none without a file.

    Raises
    ------
    DataError
        A column is missing, or a score is no number.
    """
    if not path.is_file():
        return {}
    rows = read_rows(path, ("image", *labels))
    return {
        row["image"]: np.array([number(row[label], f"{path}, line {line}, {label}") for label in labels])
        for line, row in enumerate(rows, start=2)
    }


def _metadata(row: dict[str, str], where: str) -> list[float]:
    ap, male = float(row.get("view") == "AP"), float(row.get("sex") == "M")
    age, follow_up = number(row.get("age") or "50", f"{where}, age"), number(row.get("follow_up") or "0", where)
    return [ap, male, age / 100, follow_up / 10]


def _labelled_rows(path: Path, labels: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of labels.csv, each with a patient; DataError where a column is missing."""
    names = column_names(path, HINT)
    lacking = [one for one in NEEDED if one not in names and not (one == "patient" and GROUP in names)]
    lacking += [one for one in labels if one not in names and CLASS not in names]
    rows = read_rows(path, lacking)
    return rows if "patient" in names else [row | {"patient": row[GROUP]} for row in rows]
