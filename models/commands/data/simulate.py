"""The command `readfirst models simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.commands.console import note, printed_errors, progress
from models.plurals import counted

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder: labels.csv, SPLIT/SERIES.nii.gz, masks.")]
Backgrounds = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Real chests to put lesions into: a folder with labels.csv (split train; patient, collection, licence).",
    ),
]
Phantoms = Annotated[int, typer.Option(min=0, help="Families of procedural phantoms.")]
Volumes = Annotated[int, typer.Option(min=5, help="Volumes in all.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed writes the same bytes.")]


def simulate(
    out: Out, backgrounds: Backgrounds = None, phantoms: Phantoms = 20, volumes: Volumes = 160, seed: Seed = 0
) -> None:
    """Write chest CT volumes with simulated lesions, their labels and their masks.

    Lesions: pneumothorax, effusion, consolidation, emphysema, cardiomegaly, solid and ground-glass nodules, in phantoms
    and, with --backgrounds, in real chests. Splits train, validation and test share no anatomy. Whatever is trained on
    it is "trained on simulated lesions".
    """
    from models.simulation.cohort import anatomies, write_cohort  # noqa: PLC0415 (SciPy only where it computes)

    with printed_errors(), progress() as advance:
        cases = anatomies(backgrounds, phantoms, seed)
        write_cohort(out, cases, volumes, seed, advance)
    real = "; real backgrounds have disease without a label" if backgrounds else ""
    note(f"{out}: {counted(volumes, 'volume')} of up to {counted(len(cases), 'anatomy')} written{real}.")
