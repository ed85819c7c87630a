"""The truth that labels are measured against: a CSV of 0 and 1 by report, its columns named as ours or mapped."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import DataError
from models.report_labels.readers import bare_name
from models.report_labels.rules import NO_FINDING

SHIPPED = Path(__file__).parent
VALUES = {"0": False, "0.0": False, "1": True, "1.0": True}


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Reports by name (without ending), labels, and `values` (reports, labels)."""

    reports: tuple[str, ...]
    labels: tuple[str, ...]
    values: NDArray[np.bool_]


class _Columns(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: dict[str, tuple[str, ...]]


def read_columns(name: str) -> dict[str, tuple[str, ...]]:
    """Which columns of a truth count as which label: a shipped table ("openi", "openi-ct"), or the path of one.

    Raises
    ------
    DataError
        There is no such table, or it is not in the form of openi.toml.
    """
    path = SHIPPED / f"{name.replace('-', '_')}.toml" if name in ("openi", "openi-ct") else Path(name)
    try:
        return _Columns.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).columns
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        reason = f"{path} is no table of columns; give the word openi, or a file like {SHIPPED / 'openi.toml'}"
        raise DataError(f"{reason}: {error}") from error


def read_truth(path: Path, labels: Sequence[str], columns: Mapping[str, Sequence[str]] | None = None) -> Truth:
    """Read a truth whose first column names reports and whose others hold 0 and 1.

    Without `columns` a label's column has the label's name; labels without one are not measured. No_Finding without a
    column of its own is true where no finding is, if every finding has a column.

    Raises
    ------
    DataError
        The file, a mapped column or every label's column is missing, or a value is neither 0 nor 1.
    """
    header, rows = _rows(path)
    mapping = columns or {label: (label,) for label in labels if label in header}
    missing = sorted({name for names in mapping.values() for name in names} - set(header))
    unknown = [label for label in mapping if label not in labels]
    if missing or unknown or not mapping or not rows:
        raise DataError(f"{path} cannot be measured against: {_reason(missing, unknown, bool(rows))}.")
    measured = tuple(label for label in labels if label in mapping)
    values = np.array([[_any(path, row, mapping[label]) for label in measured] for row in rows], bool)
    if NO_FINDING not in measured and set(labels) - {NO_FINDING} == set(measured):
        measured, values = (*measured, NO_FINDING), np.column_stack([values, ~values.any(1)])
    return Truth(tuple(bare_name(row[header[0]]) for row in rows), measured, values)


def _reason(missing: Sequence[str], unknown: Sequence[str], rows: bool) -> str:
    if missing:
        return f"it has no column {', '.join(missing)}"
    if unknown:
        return f"{', '.join(unknown)} is no label of the table of rules"
    return "it has no column of a label; give --columns openi, or give a table of columns" if rows else "it has no rows"


def _rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            return list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a truth (CSV in UTF-8): {error}.") from error


def _any(path: Path, row: Mapping[str, str], names: Sequence[str]) -> bool:
    wrong = [name for name in names if row[name] not in VALUES]
    if wrong:
        raise DataError(f'{path}: column {wrong[0]} holds "{row[wrong[0]]}"; it must be 0 or 1.')
    return any(VALUES[row[name]] for name in names)
