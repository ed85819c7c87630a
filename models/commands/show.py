"""The command `readfirst models show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models import packages
from models.commands.arguments import AsJson, Folders, Package
from models.commands.console import measured_table, overlap_table, printed_errors
from models.commands.folders import package_folder

if TYPE_CHECKING:
    from models.card import Card, Label


Prevalence = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Part of your studies that have a finding; the default is an assumption."),
]
ASSUMED_PREVALENCE = 0.02


def show(
    package: Package,
    prevalence: Prevalence = ASSUMED_PREVALENCE,
    folders: Folders = None,
    as_json: AsJson = False,
) -> None:
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
    simulated = [SIMULATED] if card.training.simulated else []
    for line in ("", *simulated, *_triage_lines(card, prevalence)):
        console.print(line, markup=False)
    for limit in ("", "Limits:", *(f"- {limit}" for limit in card.limits), "", f"Data: {card.training.data}"):
        console.print(limit, markup=False)
    if card.training.backbone:
        console.print(f"Backbone: {card.training.backbone}", markup=False)
    if card.training.measured:
        console.print(measured_table(card.training.measured))
    if card.training.overlaps:
        console.print(overlap_table(card.training.overlaps))


SIMULATED = "Trained on simulated lesions: its card lets no finding change the order of reading."
SHOWN = "by its card it does not change the order"


def _triage_lines(card: Card, prevalence: float) -> Iterator[str]:
    """What each label does for triage, in words."""
    if card.activation == "ordinal":
        yield f"{len(card.labels)} ordinal grades: the median is reported, present if it is a finding."
    if card.activation == "softmax":
        yield f"{len(card.labels)} exclusive classes: the most probable alone is present, if it is a finding."
    assumed = ", an assumption: give your own with --prevalence" if prevalence == ASSUMED_PREVALENCE else ""
    yield (
        "present: from `threshold` above; in triage a finding counts from the point below (a site may let others raise:"
        " worklist.policy.unproven_may_raise)."
    )
    yield f"Triage, where {_of_hundred(prevalence)} studies have the finding{assumed}:"
    for label in card.labels:
        yield f"- {label.title}: {_triage(label, prevalence)}"


def _triage(label: Label, prevalence: float) -> str:
    point = label.triage
    if point is None:
        return f"{SHOWN}, too few held-out images were measured."
    found, passed = (
        f"{100 * value:.0f} %" + (f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})" if interval else "")
        for value, interval in (
            (point.sensitivity, point.sensitivity_interval), (point.specificity, point.specificity_interval)
        )
    )  # fmt: skip
    right = point.predictive_value(prevalence)
    figures = (
        f"at {point.threshold:g} it finds {found} of {point.positives} with the finding and passes {passed} of"
        f" {point.negatives} without ({point.data}); of 100 such alerts about {100 * right:.0f} are right"
    )
    if point.raises_priority and label.urgency != "LOW":
        return f"raises the priority to {label.urgency}: {figures}."
    why = "its urgency is LOW" if label.urgency == "LOW" else point.objection or "its card says so"
    return f"{SHOWN}, {why}; {figures}."


def _of_hundred(part: float) -> str:
    return f"{100 * part:g} of 100"


def _label_table(card: Card) -> Table:
    table = Table("finding", "code", "urgency", "ACR", "threshold", box=None)
    for label in card.labels:
        code = f"{label.code.value} {label.code.scheme}"
        acr = str(label.acr) if label.acr else "-"
        table.add_row(label.title, code, label.urgency, acr, f"{label.operating_point:g}")
    return table
