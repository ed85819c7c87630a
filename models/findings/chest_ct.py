"""The 83 findings of Draelos et al., Medical Image Analysis 67 (2021), whose list of names is MIT.

The table is chest_ct.csv beside this file. A code is there only where DICOM's own dictionaries (PS3.16, CID 6102 and
others) or a shipped card have it: no code was made up, so 44 findings have none. Urgency and category follow the three
categories of the ACR's work group on actionable findings (Larson et al., J Am Coll Radiol 2014: minutes, hours, days);
the assignment of each finding is ours, column `why` has the reason, and no radiologist has reviewed it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from models.card import Card, Code

TABLE = Path(__file__).with_name("chest_ct.csv")
Urgency = Literal["HIGH", "MEDIUM", "LOW"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    name: str
    title: str
    group: str
    """lung pattern, lung, pleura, heart, vessel, postoperative, device, other."""
    code: Code | None
    site: Code | None
    urgency: Urgency
    """Scheduled Procedure Step Priority (0074,1200)."""
    acr: int
    """ACR actionable finding category, CID 7035: 1 minutes, 2 hours, 3 days, 0 none."""
    labels: frozenset[str]
    """Names of labels on cards that mean this finding, without underscores, in lower case."""
    why: str


@cache
def findings() -> tuple[Finding, ...]:
    """All 83, in the order of the published list."""
    with TABLE.open(newline="", encoding="utf-8") as stream:
        return tuple(_finding(row) for row in csv.DictReader(stream))


def packages_of(finding: Finding, cards: Iterable[Card]) -> tuple[Card, ...]:
    """The cards of packages for CT that have a label of the finding."""
    return tuple(
        card
        for card in cards
        if "CT" in card.input.modalities and any(_bare(label.name) in finding.labels for label in card.labels)
    )


def _finding(row: dict[str, str]) -> Finding:
    urgency: dict[str, Urgency] = {"HIGH": "HIGH", "MEDIUM": "MEDIUM", "LOW": "LOW"}
    return Finding(
        name=row["name"],
        title=row["title"],
        group=row["group"],
        code=_code(row["code"], row["scheme"], row["meaning"]),
        site=_code(row["site_code"], row["site_scheme"], row["site_meaning"]),
        urgency=urgency[row["urgency"]],
        acr=int(row["acr"]),
        labels=frozenset(_bare(name) for name in (row["name"], *row["also"].split())),
        why=row["why"],
    )


def _code(value: str, scheme: str, meaning: str) -> Code | None:
    return Code(value, scheme, meaning) if value else None


def _bare(name: str) -> str:
    return name.replace("_", "").lower()
