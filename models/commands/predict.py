"""The command `readfirst models predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models import packages
from models.commands.arguments import Device, Folders, Package
from models.commands.console import note, printed_errors, progress
from models.commands.folders import package_folder
from models.plurals import counted

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Image files, or .nii.gz volumes and DICOM folders.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Written there: predictions.csv, regions.csv, saliency/.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over predictions that are there.")]


def predict(
    package: Package,
    paths: Paths,
    out: Out,
    replace: Replace = False,
    device: Device = "auto",
    folders: Folders = None,
) -> None:
    """Predict images or volumes: probabilities, saliency maps, regions. Exit status 1 if one could not be read."""
    with printed_errors():
        from models.predicting import predict as predict_images  # noqa: PLC0415 (numpy, Pillow)
        from models.predicting import predict_volumes  # noqa: PLC0415

        model = packages.load(package_folder(package, folders), device)
        volumes = model.card.input.kind == "volume"
        run, kind = (predict_volumes, "volume") if volumes else (predict_images, "image")
        with progress() as advance:
            count, failures = run(
                model, paths, out, replace=replace, advance=lambda done, total: advance(kind, done, total)
            )
    for path, reason in failures:
        note(f"{path}: not predicted. {reason}")
    typer.echo(f"{out}: {counted(count, kind)} predicted{f', {len(failures)} not' if failures else ''}.")
    if failures:
        raise typer.Exit(1)
