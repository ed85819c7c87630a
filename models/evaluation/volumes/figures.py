"""The figures of an evaluation on volumes: plain frozen values, all of them in its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from models.evaluation.figures import Paired
from models.metrics.draws import Figure

FALSE_MARKS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)  # a scan: where FROC is read (LUNA16)


@dataclass(frozen=True, slots=True)
class Ranked:
    """AUC of one label over the volumes that labels.csv knows it of, and the decisions at the card's threshold."""

    method: str
    label: str
    volumes: int
    positives: int
    auc: Figure
    sensitivity: Figure | None
    specificity: Figure | None


@dataclass(frozen=True, slots=True)
class MeanAuc:
    """Mean AUC over the labels of `Ranked`."""

    method: str
    labels: int
    volumes: int
    auc: Figure


@dataclass(frozen=True, slots=True)
class Located:
    """Where one method points for one label, on the volumes with lesions; false marks also on those without any."""

    method: str
    label: str
    volumes: int
    lesions: int
    slices: tuple[Figure, ...]
    """Whether the mask meets the slice of the peak, or of one of the three or five best maxima."""
    pointing: Figure
    near: Figure
    """Within 10 mm."""
    present: int | None
    """Volumes of these in which the label reaches the card's threshold."""
    dice: Figure
    """Of the regions at the card's threshold, present or not; over volumes with masks."""
    best_dice: Figure
    """Of the map at `best_threshold`."""
    best_threshold: float | None
    """Chosen on another split; None where each patient's was chosen on the others of this split."""
    found: Figure
    """Part of the lesions with a region, where the label is present."""
    false_regions: Figure
    """A scan, where the label is present."""
    scans: int
    """Of FROC and of false regions: with lesions, or known to be without."""
    froc: tuple[Figure, ...]
    """Sensitivity over lesions at FALSE_MARKS."""
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Blind:
    """One baseline for one label."""

    baseline: str
    label: str
    volumes: int
    slices: Figure
    pointing: Figure
    near: Figure
    dice: Figure


@dataclass(frozen=True, slots=True)
class VolumeEvaluation:
    """Figures of all methods on one split; the first method is the one that the others are compared with."""

    methods: tuple[str, ...]
    split: str
    data: str
    volumes: int
    patients: int
    ranked: tuple[Ranked, ...]
    means: tuple[MeanAuc, ...]
    located: tuple[Located, ...]
    blind: tuple[Blind, ...]
    paired: tuple[Paired, ...]
    package: str = ""
    version: str = ""
    digest: str = ""
    skipped: tuple[str, ...] = ()
    """Labels without a column and without a mask or box."""
    few: tuple[str, ...] = ()
    """Labels whose column has too few positives or negatives for an AUC."""
    unused: tuple[str, ...] = ()
    """Masks and boxes of no label."""
    notes: dict[str, str] = field(default_factory=dict)
    """How each kind of figure was made, in sentences."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
