"""CSV tables: with commas or, as spreadsheets of many countries write them, semicolons; with or without a BOM."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.errors import DataError

MOST_NAMED = 5


def read_rows(path: Path, needed: Sequence[str] = (), hint: str = "") -> list[dict[str, str]]:
    """The rows of a table by the names of its columns; a cell that is missing at a line's end is empty.

    Parameters
    ----------
    needed
        Columns that must be there.
    hint
        What the user can do where the file cannot be read.

    Raises
    ------
    DataError
        The file cannot be read, is no text in UTF-8, or lacks a column.
    """
    names, rows = _read(path, hint)
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}.")
    return rows


def column_names(path: Path, hint: str = "") -> tuple[str, ...]:
    """The names of a table's columns; see `read_rows`."""
    return _read(path, hint)[0]


def number(text: str, where: str) -> float:
    """A number, its decimals after a point or, as spreadsheets of many countries write them, a comma.

    Raises
    ------
    DataError
        It is none; the sentence says where.
    """
    try:
        return float(text.strip().replace(",", "."))
    except ValueError as error:
        raise DataError(f"{where}: {text!r} is no number.") from error


def refuse_crossing(path: Path, pairs: Iterable[tuple[str, str]], what: str = "patients") -> None:
    """DataError where one of the (patient, split) is in two splits: a figure of the one would be of the other, too."""
    seen: dict[str, dict[str, None]] = defaultdict(dict)
    for patient, split in pairs:
        seen[patient][split] = None
    crossing = [patient for patient, found in seen.items() if len(found) > 1]
    if crossing:
        named = ", ".join(crossing[:MOST_NAMED]) + (" …" if len(crossing) > MOST_NAMED else "")
        first = " and ".join(seen[crossing[0]])
        raise DataError(
            f"{path}: {len(crossing)} {what} are in more than one split ({named}; the first in {first}): put all rows"
            " of each into one split."
        )


def _read(path: Path, hint: str) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter=_delimiter(stream.readline()), restval="")
            stream.seek(0)
            return tuple(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: save the table again as CSV (UTF-8).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}{hint}.") from error


def _delimiter(header: str) -> str:
    """A semicolon where the header has more of them than commas."""
    return ";" if header.count(";") > header.count(",") else ","
