"""The command `readfirst models evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models import packages
from models.commands.arguments import AsJson, Device, Folders, Package
from models.commands.console import Advance, measured_table, printed_errors, progress
from models.commands.folders import package_folder
from models.errors import DataError

if TYPE_CHECKING:
    from models.evaluation.figures import Compared, Evaluation, Located
    from models.evaluation.methods import Method

Data = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder with labels.csv, images/ and, if any, boxes.csv and masks/.")
]
Split = Annotated[str, typer.Option(help="Which rows of labels.csv.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write report.html, evaluation.json and curves; a name in .json: the JSON alone."),
]
Baselines = Annotated[
    bool, typer.Option("--baselines", help="Also measure fixed rules and other contrast on the same images.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Write over a report that is there.")]


def evaluate(
    package: Package,
    data: Data,
    split: Split = "validation",
    out: Out = None,
    baselines: Baselines = False,
    replace: Replace = False,
    device: Device = "auto",
    folders: Folders = None,
    as_json: AsJson = False,
) -> None:
    """Measure a package on labelled images, each figure beside a baseline that sees no image."""
    with printed_errors(), progress() as advance:
        written, evaluation = _run(
            package_folder(package, folders), data, split, out, baselines, replace, device, advance
        )
    if as_json:
        typer.echo(json.dumps(evaluation.as_json(), indent=2))
        return
    console = Console()
    for table in (measured_table(evaluation.measured), *_tables(evaluation)):
        console.print(table)
    for line in _lines(evaluation, written):
        typer.echo(line)


def _run(
    path: Path,
    data: Path,
    split: str,
    out: Path | None,
    baselines: bool,
    replace: bool,
    device: str,
    advance: Advance,
) -> tuple[Path | None, Evaluation]:
    from models.evaluation.measuring import evaluate as measure  # noqa: PLC0415 (scikit-learn)
    from models.evaluation.measuring import evaluated  # noqa: PLC0415
    from models.evaluation.page import check_room, write_report  # noqa: PLC0415

    alone = out is not None and out.suffix.lower() == ".json"
    if out is not None and not alone:
        check_room(out, replace)
    model = packages.load(path, device)
    others: tuple[Method, ...] = ()
    if baselines:
        from models.evaluation.classical import methods  # noqa: PLC0415

        others = methods(model)
    count = len(evaluated(data, split, model.card))
    evaluation = measure(model, data, split, _steps("images", count, advance), others)
    if out is None:
        return None, evaluation
    if alone:
        return _written(out, evaluation), evaluation
    shown = len(evaluation.best + evaluation.worst)
    return write_report(model, evaluation, data, out, _steps("overlays", shown, advance)), evaluation


def _steps(stage: str, count: int, advance: Advance) -> Callable[[], None]:
    done: Iterator[int] = iter(range(1, count + 1))
    return lambda: advance(stage, next(done), count)


def _written(out: Path, evaluation: Evaluation) -> Path:
    try:
        out.write_text(json.dumps(evaluation.as_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error
    return out


def _tables(evaluation: Evaluation) -> Iterator[Table]:
    pointing = Table("boxes", "map of", "images", "peak inside", "image centre inside", "chance", box=None)
    for one in evaluation.pointing:
        counts = f"{one.images}", f"{one.hits}", f"{one.centre_hits}"
        pointing.add_row(one.boxes, one.label, *counts, f"{one.chance:.3f}")
    if evaluation.pointing:
        yield pointing
    if evaluation.compared:
        yield _compared(evaluation.compared)


def _compared(lines: tuple[Compared, ...]) -> Table:
    from models.evaluation.page import shown_figure  # noqa: PLC0415

    sources = [mean.data for mean in lines[0].means]
    table = Table("method", *(f"mean AUC {name}" for name in sources), "boxes of", "peak inside", "IoU 0.1", box=None)
    for line in lines:
        means = [shown_figure(mean.auc) for mean in line.means] or ["–"] * len(sources)
        found: list[Located | None] = list(line.located) or [None]
        for one in found:
            where = ("–",) * 3 if one is None else (one.label, *map(shown_figure, (one.pointing, one.overlap_10)))
            table.add_row(line.method, *means, *where)
    return table


def _lines(evaluation: Evaluation, written: Path | None) -> Iterator[str]:
    if evaluation.skipped:
        yield f"labels.csv has no column for, and so not measured: {', '.join(evaluation.skipped)}."
    if evaluation.few:
        yield f"Too few positives in each source to be measured: {', '.join(evaluation.few)}."
    if written is not None:
        yield f"{written}: written."
