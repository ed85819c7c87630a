"""The command `readfirst models verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from models import packages
from models.commands.arguments import Folders
from models.commands.console import printed_errors
from models.commands.folders import package_folder, user_folders
from models.errors import ModelsError

Names = Annotated[list[str] | None, typer.Argument(metavar="PACKAGE...", help="Names or paths; default: all.")]


def verify(names: Names = None, folders: Folders = None) -> None:
    """Check cards and weights, load them and predict once; exit status 1 if a package cannot be used."""
    with printed_errors():
        chosen = (
            [package_folder(name, folders) for name in names] if names else packages.available(user_folders(folders))
        )
    bad = 0
    for path in chosen:
        try:
            packages.require_working(packages.load(path, "cpu"))
            packages.require_own(path)
            typer.echo(f"{path.name}: ok, digest {packages.digest(path)[:16]}")
        except ModelsError as error:
            bad += 1
            typer.echo(f"{path.name}: {error}")
    if bad:
        raise typer.Exit(1)
