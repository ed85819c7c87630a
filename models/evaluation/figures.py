"""The figures of an evaluation: plain frozen values, all of them in its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from models.card import Measurement, TriagePoint
from models.metrics.decisions import Bin, Decisions
from models.metrics.draws import Figure

FALSE_REGIONS = (0.5, 1.0, 2.0, 4.0)  # an image: where FROC is read


@dataclass(frozen=True, slots=True)
class Pointing:
    """The pointing game of one kind of box: is the map's peak inside? Zhang et al., ECCV 2016."""

    boxes: str
    label: str
    images: int
    hits: int
    centre_hits: int
    """The same for the image's centre, which sees nothing."""
    chance: float
    """Mean part of the image that the boxes cover: hits of a random point."""


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean AUC within one source over its labels with enough positives."""

    data: str
    labels: int
    auc: Figure
    baseline: Figure | None
    above_baseline: Figure | None
    """The difference, of the same draws."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Decisions at the threshold and calibration, of one label in one source."""

    label: str
    data: str
    images: int
    positives: int
    operating_point: float
    decisions: Decisions
    calibration_error: Figure
    reliability: tuple[Bin, ...]
    roc: tuple[tuple[float, float], ...]
    """(false positive rate, sensitivity) at every threshold that matters."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where one method points for one label, on the images with boxes; FROC on those without the finding, too."""

    method: str
    label: str
    boxes: str
    """The kinds of boxes that count."""
    images: int
    box_count: int
    called: int | None
    """Images of these in which the finding is present by the threshold; figures count all of them."""
    pointing: Figure
    overlap_10: Figure
    """Part of the boxes that a region overlaps with an IoU of 0.1 or more."""
    overlap_50: Figure
    froc_images: int
    froc: tuple[Figure, ...]
    """Sensitivity over boxes (IoU 0.1) at FALSE_REGIONS."""
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """Regions of one method against masks of one label."""

    method: str
    label: str
    images: int
    dice: Figure
    hausdorff: Figure
    """Pixels of the file; over the images that have a region."""
    without_region: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """One image of the best or the worst."""

    image: str
    label: str
    truth: bool
    probability: float
    present: bool
    overlap: float | None
    """Best IoU of a region with a box; None where images were ranked by probability."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the table of classical methods: what it did, mean AUC within sources, and where it points."""

    method: str
    note: str
    means: tuple[Mean, ...]
    located: tuple[Located, ...]


@dataclass(frozen=True, slots=True)
class Paired:
    """One figure of the package and of one baseline on the same images, and their difference in the same draws."""

    figure: str
    """For instance "mean AUC" or "peak in a box of Pneumonia"."""
    data: str
    baseline: str
    own: Figure
    """Without a value where the package was fitted on these images."""
    other: Figure
    difference: Figure


@dataclass(frozen=True, slots=True)
class NormalAlerts:
    """How often images without a finding are raised to HIGH: parts of them."""

    images: int
    labels: tuple[str, ...]
    """The HIGH labels that may raise a priority."""
    high: Figure
    present: Figure
    """Where any HIGH label is present, whether or not it may raise the priority."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one package on one split."""

    package: str
    digest: str
    split: str
    images: int
    measured: tuple[Measurement, ...]
    pointing: tuple[Pointing, ...]
    version: str = ""
    data: str = ""
    patients: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    """Labels of the card that labels.csv does not have."""
    few: tuple[str, ...] = ()
    """Labels that have enough positives in no source, and no figures therefore."""
    means: tuple[Mean, ...] = ()
    calls: tuple[Calls, ...] = ()
    located: tuple[Located, ...] = ()
    masked: tuple[Masked, ...] = ()
    compared: tuple[Compared, ...] = ()
    paired: tuple[Paired, ...] = ()
    triage: dict[str, TriagePoint] = field(default_factory=dict)
    """By label: at the card's operating point for triage, where it has one, else at the one that these images give."""
    normal_alerts: NormalAlerts | None = None
    """None: labels.csv has no image that is normal."""
    best: tuple[Ranked, ...] = ()
    worst: tuple[Ranked, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    """How each kind of figure was made, in sentences."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        table = asdict(self)
        table["triage"] = {label: point.model_dump(exclude_none=True) for label, point in self.triage.items()}
        table["measured"] = [one.model_dump(exclude_none=True) for one in self.measured]
        return table
