"""Headers of instances (no pixels), and their values, read as those of untrusted files."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from node.dicom.headers import read_header
from node.errors import AnalysisError, UnreadableInstance


def header(path: Path) -> Dataset:
    """The Data Set of a DICOM file up to its pixels, with `file_meta`; AnalysisError where it is none."""
    try:
        return read_header(path)
    except UnreadableInstance as error:
        raise AnalysisError(str(error)) from error


def text(dataset: Dataset, keyword: str) -> str:
    """The value as upper-case text, several values joined by a space; empty where missing or unreadable."""
    return " ".join(words(dataset, keyword))


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values as upper-case texts; none where missing or unreadable."""
    value = _value(dataset, keyword)
    values = value if isinstance(value, MultiValue | list | tuple) else () if value in (None, "") else (value,)
    return tuple(str(one).strip().upper() for one in values)


def numbers(dataset: Dataset, keyword: str, count: int = 1) -> tuple[float, ...] | None:
    """Exactly `count` (or more, cut) finite numbers, or None where missing or unreadable."""
    try:
        found = tuple(float(word) for word in words(dataset, keyword))[:count]
    except ValueError:
        return None
    return found if len(found) == count and all(abs(number) < float("inf") for number in found) else None


def number(dataset: Dataset, keyword: str, default: float) -> float:
    """The first number of a value, or `default`."""
    found = numbers(dataset, keyword)
    return found[0] if found else default


def numbered(header: Dataset) -> str:
    """Which image of the study, as viewers number it: "S:2 I:1". Lists of series show little more of a description."""
    return f"S:{number(header, 'SeriesNumber', 0):.0f} I:{number(header, 'InstanceNumber', 0):.0f}"


def series_and_image(header: Dataset) -> str:
    """Which instance of the study, in words: "series 2, image 1"."""
    return f"series {number(header, 'SeriesNumber', 0):.0f}, image {number(header, 'InstanceNumber', 0):.0f}"


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; none where it is missing."""
    value = _value(dataset, keyword)
    return tuple(value) if isinstance(value, Sequence) else ()


def photometric(dataset: Dataset) -> str:
    """Photometric Interpretation without what devices write around and between its letters ("monochrome 1")."""
    return re.sub(r"[^A-Z0-9_]", "", text(dataset, "PhotometricInterpretation"))


def _value(dataset: Dataset, keyword: str) -> object:
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, KeyError, OverflowError, NotImplementedError):
        return None
