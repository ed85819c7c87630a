"""What the commands print alike: errors, progress, a table of areas under the ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from models.errors import ModelsError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from models.card import Measurement, Overlap

Advance = Callable[[str, int, int], None]
"""Called with (stage, done, of all)."""


@contextmanager
def printed_errors() -> Iterator[None]:
    """A ModelsError becomes its sentence on stderr and exit status 1."""
    try:
        yield
    except ModelsError as error:
        Console(stderr=True, soft_wrap=True).print(f"readfirst models: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from error


@contextmanager
def progress() -> Iterator[Advance]:
    """A bar on stderr for each stage."""
    from rich.progress import (  # noqa: PLC0415 (only long commands need it)
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def advance(stage: str, done: int, count: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=count)
            shown.update(tasks[stage], completed=done)

        yield advance


def note(sentence: str) -> None:
    """Print a sentence on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)


def measured_table(measured: tuple[Measurement, ...]) -> Table:
    """One row an area under the ROC curve."""
    table = Table("finding", "on", "positives", "AUC", "95 % interval", "baseline", box=None)
    for one in measured:
        baseline = "-" if one.baseline is None else f"{one.baseline:.3f}"
        interval = f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
        counts = f"{one.positives} of {one.images}"
        table.add_row(one.label.replace("_", " "), one.data, counts, f"{one.auc:.3f}", interval, baseline)
    return table


def overlap_table(overlaps: tuple[Overlap, ...]) -> Table:
    """One row a Dice coefficient."""
    table = Table("masks on", "images", "Dice", "95 % interval", "lowest", box=None)
    for one in overlaps:
        interval = f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
        table.add_row(one.data, str(one.images), f"{one.dice:.3f}", interval, f"{one.lowest:.3f}")
    return table
