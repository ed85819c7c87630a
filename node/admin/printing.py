"""Tables, lines and JSON on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_WHOLE = ("study", "time (UTC)", "since (UTC)", "priority", "state")  # columns that are never broken
_UID_WIDTH = 200  # columns; a UID that is broken cannot be copied


def print_line(text: str, *, markup: bool = True, highlight: bool = True, end: str = "\n") -> None:
    """One line, as long as it is."""
    console = Console(width=None if sys.stdout.isatty() else _UID_WIDTH)
    console.print(text, markup=markup, highlight=highlight, end=end, soft_wrap=True)


def new_table(*columns: str) -> Table:
    """A table without rules."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in _WHOLE, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """At least as wide as its UIDs need; a narrow terminal wraps the lines."""
    Console(width=max(Console().width, _UID_WIDTH)).print(table, soft_wrap=True)


def print_json(value: Any) -> None:
    """Indented."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")
