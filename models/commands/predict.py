"""The command `readfirst models predict`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models import packages

Advance = Callable[[str, int, int], None]
Package = Annotated[str, typer.Argument(metavar="PACKAGE", help="A package's name, or the path of its folder.")]
Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="PNG, JPEG, DICOM or NIfTI files, or folders of them.")
]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Written there: predictions.csv, regions.csv, saliency/IMAGE.npz.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Write over predictions that are there.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
Folders = Annotated[list[Path] | None, typer.Option("--models", metavar="DIR", help="Folder of your packages.")]


def command(
    said: Callable[[], AbstractContextManager[None]],
    progress: Callable[[], AbstractContextManager[Advance]],
    folder: Callable[[str, list[Path] | None], Path],
) -> Callable[..., None]:
    """The command, with the way of `models.commands.cli` to say errors, show progress and find packages."""

    def predict(
        package: Package,
        paths: Paths,
        out: Out,
        replace: Replace = False,
        device: Device = "auto",
        folders: Folders = None,
    ) -> None:
        """Predict images: probabilities, raw saliency maps and regions. Exit status 1 if one could not be read."""
        with said():
            from models.predicting import predict as run  # noqa: PLC0415 (numpy, Pillow)

            model = packages.load(folder(package, folders), device)
            with progress() as advance:
                count, failures = run(
                    model, paths, out, replace=replace, advance=lambda done, all_: advance("images", done, all_)
                )
        notes = Console(stderr=True, soft_wrap=True, highlight=False)
        for path, reason in failures:
            notes.print(f"{path}: not predicted. {reason}", markup=False)
        typer.echo(f"{out}: {count} images predicted{f', {len(failures)} not' if failures else ''}.")
        if failures:
            raise typer.Exit(1)

    return predict
