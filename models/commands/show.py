"""The command `readfirst models show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from models import packages
from models.commands.arguments import AsJson, Folders, Package
from models.commands.console import measured_table, overlap_table, printed_errors
from models.commands.folders import package_folder

if TYPE_CHECKING:
    from models.card import Card


def show(package: Package, folders: Folders = None, as_json: AsJson = False) -> None:
    """Show a package's card: what it finds, what it may see, how it was measured, its limits."""
    with printed_errors():
        path = package_folder(package, folders)
        card, digest = packages.load_card(path), packages.digest(path)
    if as_json:
        typer.echo(json.dumps({"path": str(path), "digest": digest, **card.model_dump(mode="json")}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in (f"{card.name} {card.version}: {card.title}", card.summary, f"digest {digest}", f"folder {path}", ""):
        console.print(line, markup=False)
    console.print(_label_table(card))
    for limit in ("", "Limits:", *(f"- {limit}" for limit in card.limits), "", f"Data: {card.training.data}"):
        console.print(limit, markup=False)
    if card.training.backbone:
        console.print(f"Backbone: {card.training.backbone}", markup=False)
    if card.training.measured:
        console.print(measured_table(card.training.measured))
    if card.training.overlaps:
        console.print(overlap_table(card.training.overlaps))


def _label_table(card: Card) -> Table:
    table = Table("finding", "code", "urgency", "ACR", "threshold", box=None)
    for label in card.labels:
        code = f"{label.code.value} {label.code.scheme}"
        acr = str(label.acr) if label.acr else "-"
        table.add_row(label.title, code, label.urgency, acr, f"{label.operating_point:g}")
    return table
