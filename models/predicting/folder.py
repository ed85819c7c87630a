"""The folder that predictions are written to, and names of what is predicted."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from models.errors import DataError

Failures = tuple[tuple[Path, str], ...]


def plain(path: Path) -> Path:
    """Absolute and without "..", which would lead a name out of the folder that results are written to."""
    return Path(os.path.normpath(path.absolute()))


def names_below_one(paths: Sequence[Path]) -> dict[str, Path]:
    """Plain paths by what follows the deepest folder that holds them all; one folder alone has its own name."""
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return {path.relative_to(common).as_posix(): path for path in paths}


def make_room(out: Path, tables: Sequence[str], maps: str, pattern: str, *, replace: bool) -> None:
    """Create the folders; old maps are removed.

    Raises
    ------
    DataError
        Predictions are there, and may not be replaced.
    """
    ours = [*(out / name for name in tables), out / maps]
    there = [path.name for path in ours if path.exists()]
    if there and not replace:
        raise DataError(f"{out} already holds {', '.join(there)}; choose another folder or give --replace.")
    for old in (out / maps).rglob(pattern):
        old.unlink()
    (out / maps).mkdir(parents=True, exist_ok=True)


def table(stack: ExitStack, out: Path, name: str, columns: Sequence[str]) -> Any:
    """A writer of a CSV file with these columns, closed by the stack."""
    stream = stack.enter_context((out / name).open("w", newline="", encoding="utf-8"))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    return writer
