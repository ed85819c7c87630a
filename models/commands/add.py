"""The command `readfirst models add`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models import packages
from models.commands.console import printed_errors, progress
from models.commands.folders import configured_folder
from models.importers import installing

TRIALS: list[installing.Tried] = []
"""What a package has to pass; whoever can make results of it (`workers.trial`) puts its own there."""

What = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="A package folder, a MONAI Bundle, or torchxrayvision:NAME (densenet121-res224-all …)."
    ),
]
Into = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Your models folder; default: the one of readfirst.toml here, or var/models."),
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TorchXRayVision's published weights, where they are here already.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace another version of the same name.")]


def add(what: What, into: Into = None, weights: Weights = None, replace: Replace = False) -> None:
    """Verify a package folder and copy it into your models folder; build it first from others' networks."""
    with printed_errors(), progress() as advance:
        folder = into or configured_folder()
        added, new, notes = installing.add_any(
            what, folder, weights=weights, replace=replace, advance=advance, trials=TRIALS
        )
    for note in notes:
        typer.echo(note)
    typer.echo(f"{added}: {'added' if new else 'was there already, the same'}. Name it in models.packages to use it.")
    if added.name in {path.name for path in packages.available()}:
        typer.echo(
            f"From now on it is used in place of the shipped {added.name}; give its card another `name` to keep both."
        )
