"""The command `readfirst models predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models import packages
from models.commands.arguments import Device, Folders, Package
from models.commands.console import note, printed_errors, progress
from models.commands.folders import package_folder

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="PNG, JPEG, DICOM or NIfTI files, or folders of them.")
]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Written there: predictions.csv, regions.csv, saliency/IMAGE.npz.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Write over predictions that are there.")]


def predict(
    package: Package,
    paths: Paths,
    out: Out,
    replace: Replace = False,
    device: Device = "auto",
    folders: Folders = None,
) -> None:
    """Predict images: probabilities, raw saliency maps and regions. Exit status 1 if one could not be read."""
    with printed_errors():
        from models.predicting import predict as predict_files  # noqa: PLC0415 (numpy, Pillow)

        model = packages.load(package_folder(package, folders), device)
        with progress() as advance:
            count, failures = predict_files(
                model, paths, out, replace=replace, advance=lambda done, total: advance("images", done, total)
            )
    for path, reason in failures:
        note(f"{path}: not predicted. {reason}")
    typer.echo(f"{out}: {count} images predicted{f', {len(failures)} not' if failures else ''}.")
    if failures:
        raise typer.Exit(1)
