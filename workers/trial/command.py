"""The command `readfirst models test`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from models.commands.arguments import Folders, Package
from models.commands.console import printed_errors
from models.commands.folders import package_folder
from models.errors import PackageError
from models.packages import inherited

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE...]",
        help="DICOM files, or the folder, of one study; none: a study of shapes of the card's kind.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Results are written there.")]


def wrong_of_shapes(folder: Path) -> tuple[str, ...]:
    """What is wrong with the results that a package makes of a study of shapes; see `models.importers.installing`."""
    from workers.trial.trying import try_package  # noqa: PLC0415 (torch, highdicom)

    with tempfile.TemporaryDirectory() as room:
        return try_package(folder, (), Path(room) / "study" / "results").faults


def test(package: Package, files: Files = None, out: Out = Path("trial"), folders: Folders = None) -> None:
    """Try a package's whole way: images in, Segmentation and Structured Report out, checked as for a patient."""
    with printed_errors():
        from workers.trial.trying import TrialFailed, try_package  # noqa: PLC0415 (torch, highdicom)

        folder = package_folder(package, folders)
        try:
            trial = try_package(folder, files or (), out)
        except TrialFailed as error:
            raise PackageError(str(error)) from error
    for finding in trial.findings:
        shown = "present" if finding.present else "absent"
        typer.echo(f"{finding.label}: {finding.quantity} {finding.probability:.3f}, {shown} {finding.place}".rstrip())
    for kind, path in trial.results:
        typer.echo(f"{kind}: {path}")
    for note in trial.notes:
        typer.echo(note)
    faults = (*trial.faults, *inherited(folder))
    for fault in faults:
        typer.echo(f"wrong: {fault}", err=True)
    typer.echo(f"{package}: {'cannot be used as it is' if faults else 'every result passed all checks'}.")
    if faults:
        raise typer.Exit(1)
