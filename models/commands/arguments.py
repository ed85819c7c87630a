"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Package = Annotated[str, typer.Argument(metavar="PACKAGE", help="A package's name, or the path of its folder.")]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="DIR",
        help="Folder of your packages; default: the one of readfirst.toml here, or var/models.",
    ),
]
Like = Annotated[str, typer.Option(metavar="PACKAGE", help="Whose card gives labels, codes, input and network.")]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Folder with labels.csv and images/ or volumes, or with pairs.csv."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
