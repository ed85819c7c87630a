"""The evaluation of a package of exclusive classes: plain frozen values, all of them in its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from models.card import Measurement
from models.evaluation.classes.levels import Level, measurements


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What a classifier reaches that sees something else than the package: levels as the package's own."""

    name: str
    note: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class ClassEvaluation:
    """Figures of one package on one split; `levels` are of images and, where the package sees bags, of groups."""

    package: str
    version: str
    digest: str
    data: str
    split: str
    classes: tuple[str, ...]
    groups: int
    levels: tuple[Level, ...]
    skipped: tuple[str, ...] = ()
    """Images that the package takes for none of its own, with the reason."""
    shortcuts: tuple[Shortcut, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> tuple[Measurement, ...]:
        """One-vs-rest areas for a card."""
        return tuple(
            one for level in self.levels for one in measurements(f"{self.split}, {level.unit}", self.classes, level)
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"measured": [one.model_dump(exclude_none=True) for one in self.measured]}
