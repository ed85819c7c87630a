"""The command `readfirst models findings`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from models import packages
from models.commands.arguments import AsJson, Folders
from models.commands.console import note, printed_errors
from models.commands.folders import user_folders
from models.findings.chest_ct import Finding, findings, packages_of

if TYPE_CHECKING:
    from models.card import Card, Code


def list_findings(folders: Folders = None, as_json: AsJson = False) -> None:
    """List the 83 findings of chest CT: codes, urgency, and the packages that find them, learned or set by hand."""
    with printed_errors():
        cards = [packages.load_card(path) for path in packages.available(user_folders(folders))]
    rows = [(one, packages_of(one, cards)) for one in findings()]
    if as_json:
        typer.echo(json.dumps([_as_json(one, found) for one, found in rows], indent=2))
        return
    table = Table("name", "finding", "group", "code", "site", "urgency", "ACR", "found by", box=None)
    for one, found in rows:
        named = ", ".join(_named(card) for card in found) or "-"
        category = str(one.acr or "-")
        table.add_row(
            one.name, one.title, one.group, _shown(one.code), _shown(one.site), one.urgency, category, named
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 200).print(table)
    learned = sum(any(card.algorithm == "neural network" for card in found) for _, found in rows)
    by_hand = sum(bool(found) for _, found in rows) - learned
    note(f"{len(rows)} findings: {learned} by a network of a package here, {by_hand} by rules set by hand.")


def _named(card: Card) -> str:
    return card.name if card.algorithm == "neural network" else f"{card.name} (by hand)"


def _shown(code: Code | None) -> str:
    return "-" if code is None else f"{code.value} {code.scheme}"


def _as_json(one: Finding, found: tuple[Card, ...]) -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "group": one.group,
        "code": one.code,
        "site": one.site,
        "urgency": one.urgency,
        "acr": one.acr,
        "why": one.why,
        "trained": any(card.algorithm == "neural network" for card in found),
        "packages": [card.name for card in found],
    }
