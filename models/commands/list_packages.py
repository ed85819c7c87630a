"""The command `readfirst models list`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from models import packages
from models.commands.arguments import AsJson, Folders
from models.commands.console import printed_errors
from models.commands.folders import user_folders

if TYPE_CHECKING:
    from models.card import Card


def list_packages(folders: Folders = None, as_json: AsJson = False) -> None:
    """List the packages that can be used: yours first, then the shipped ones."""
    with printed_errors():
        cards = [(path, packages.load_card(path)) for path in packages.available(user_folders(folders))]
    if as_json:
        typer.echo(json.dumps([_summary(path, card) for path, card in cards], indent=2))
        return
    table = Table("name", "version", "finds", "sees", "method", box=None)
    for _, card in cards:
        sees = f"{card.input.kind} of {', '.join(card.input.modalities)}"
        finds = f"{len(card.labels)} {card.category}{'s' * (len(card.labels) > 1)}"
        table.add_row(card.name, card.version, finds, sees, card.algorithm)
    Console().print(table)


def _summary(path: Path, card: Card) -> dict[str, object]:
    return {
        "name": card.name,
        "version": card.version,
        "title": card.title,
        "path": str(path),
        "digest": packages.digest(path),
        "kind": card.input.kind,
        "modalities": card.input.modalities,
        "algorithm": card.algorithm,
        "labels": [label.name for label in card.labels],
    }
