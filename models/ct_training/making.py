"""What a package is made of, and the folder that it is written to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from models.card import Card, Weights
from models.cardfile import card_text
from models.data.tables import column_names
from models.fitting.task import Advance
from models.learning.record import FILE as RUN
from models.networks.modules.storage import to_bytes
from models.packages import CARD, sha256
from models.provenance import Facts, Owner, counted, own, today

SIMULATION = "simulation"  # the column that `readfirst models simulate` writes


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """A package to be made.

    Attributes
    ----------
    data
        Folder of volumes with masks.
    like
        Gives names, codes, texts, input and network; figures and weights are made new.
    run
        The package is written to `run`/name, its figures to run.json.
    test
        The split that is measured at the end, where the folder has it.
    owner
        Whose model it is.
    """

    data: Path
    like: Card
    run: Path
    seed: int
    test: str
    advance: Advance
    owner: Owner = field(default_factory=Owner)

    def card(self, volumes: Sequence[str], method: str, choices: str, *, simulated: bool) -> Card:
        """The card of this run: `volumes` names the anatomy of each that was fitted on."""
        table = self.data / "labels.csv"
        facts = Facts(
            what="volumes", train=counted(volumes), test=(0, 0), split=self.test, labels_sha256=sha256(table),
            choices=choices, method=method, date=today(), simulated=simulated or SIMULATION in column_names(table),
        )  # fmt: skip
        card = own(self.like, self.owner, facts, self.like.localizer)
        return card.model_copy(update={"training": card.training.model_copy(update={"seed": self.seed})})


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The folder of a package, and its figures in sentences."""

    folder: Path
    lines: tuple[str, ...]


def write_package(folder: Path, module: nn.Module, card: Card) -> None:
    """Write weights and card; the card names the weights."""
    data = to_bytes(module)
    weights = Weights(sha256=hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(data)
    (folder / CARD).write_text(card_text(card.model_copy(update={"weights": weights})), encoding="utf-8")


def write_run(making: Making, report: dict[str, Any]) -> None:
    """Write run.json: what was measured, and what is needed to repeat it."""
    whole = {"data": str(making.data), "seed": making.seed, "test": making.test} | report
    (making.run / RUN).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
