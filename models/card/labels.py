"""One label of a card: what it is called, when it is present, where it is drawn, whether it raises a priority."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from models.card.table import Byte, Code, Fraction, Interval, Table, Text

LEAST_AUC = 0.70  # the lower bound of a label's AUC must be above it before the label may raise a priority
LEAST_SPECIFICITY = 0.95  # at the operating point for triage


class Calibration(NamedTuple):
    """Platt scaling: probability = sigmoid(slope * logit + intercept), stretched so that `pivot` becomes one half.

    Of exclusive classes it is vector scaling (Guo et al., ICML 2017): softmax over them of slope * logit + intercept.

    The stretch is TorchXRayVision's op_norm, two straight lines: p / (2 pivot) below, 1 - (1 - p) / (2 (1 - pivot))
    above. A pivot of one half changes nothing.
    """

    slope: float
    intercept: float
    pivot: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5


class Dot(NamedTuple):
    """One dot of a reliability diagram: mean probability of some images, and the part of them in which it was true."""

    probability: Fraction
    frequency: Fraction
    images: Annotated[int, Field(ge=1)]


class TriagePoint(Table):
    """The operating point at which a label may raise a study's priority, with its figures on held-out images.

    All figures are of collections in which the label has ten positives or more; intervals are 95 %, bootstrap by
    patient, and left out where every draw is the same.
    """

    data: Text
    """Which images, for instance "validation B, C"."""
    threshold: Fraction
    """The priority is raised where the probability reaches it; the smallest, from `operating_point` on, whose
    specificity is `LEAST_SPECIFICITY` or more."""
    positives: Annotated[int, Field(ge=1)]
    negatives: Annotated[int, Field(ge=1)]
    sensitivity: Fraction
    sensitivity_interval: Interval | None = None
    specificity: Fraction
    specificity_interval: Interval | None = None
    auc: Fraction
    """Probability that a positive scores higher than a negative of the same collection."""
    auc_interval: Interval
    raises_priority: bool
    """Whether the label may raise the priority; a label that may not is shown, and the order stays as it is."""

    @property
    def objection(self) -> str:
        """Why these figures are not enough to raise a priority, as a clause; "" where they are."""
        if self.auc_interval[0] <= LEAST_AUC:
            bound = f"the lower bound of the AUC's interval, {self.auc_interval[0]:g}, is not above {LEAST_AUC:g}"
            return f"{bound} on {self.data}"
        if self.specificity < LEAST_SPECIFICITY:
            return f"the specificity, {self.specificity:g}, is below {LEAST_SPECIFICITY:g} on {self.data}"
        return ""

    def predictive_value(self, prevalence: float) -> float:
        """The part of the alerts that are right where this part of all studies has the finding; 0 without alerts."""
        right = self.sensitivity * prevalence
        every = right + (1 - self.specificity) * (1 - prevalence)
        return right / every if every > 0 else 0.0


class Label(Table):
    """One finding that the model looks for."""

    name: Text
    code: Code
    site: Code
    urgency: Literal["HIGH", "MEDIUM", "LOW"]
    """Scheduled Procedure Step Priority (0074,1200) that a present finding asks for."""
    finding: bool = True
    """Exclusive classes: no, where the class is the absence of one ("normal"); it is text and never a region."""
    acr: Literal[0, 1, 2, 3] = 0
    """ACR actionable finding category, CID 7035: 1 minutes, 2 hours, 3 days, 0 none."""
    operating_point: Fraction
    """Present where the calibrated probability (or score) reaches it; of exclusive classes the most probable alone."""
    saliency_threshold: float
    """Region where the raw saliency reaches it."""
    region_of_peak: Fraction = 0.0
    """Region where the raw saliency also reaches this part of the image's own peak."""
    region: Literal["smoothed", "parts", "whole"] = "smoothed"
    """What a region is made of: connected parts of the map, smoothed; the parts as they are, where the map is a mask;
    or the whole mask as one."""
    shows_regions: bool = True
    """Whether regions are drawn: no, where the maps were not seen to lie on what people outlined."""
    smallest_region_fraction: Fraction = 0.0
    """Images: smallest region as a fraction of the image's area."""
    smallest_region_mm3: Annotated[float, Field(ge=0.0)] = 0.0
    """Volumes: smallest region."""
    colour: tuple[Byte, Byte, Byte]
    territory: str = "chest"
    """With [anatomy]: where the finding can lie, a name of `models.anatomy.territories.TERRITORIES`. Of a volume
    "anywhere" lets a region lie outside the thorax, too."""
    differs: Literal["brighter", "darker", "either"] = "either"
    """With [anatomy]: how the chest differs there from normal ones; "either" asks nothing."""
    calibration: Calibration = Calibration(1.0, 0.0)
    reliability: tuple[Dot, ...] = ()
    """Reliability diagram of the calibrated probabilities on the images that the calibration was chosen on."""
    triage: TriagePoint | None = None
    """None: not measured on enough held-out images, and so the label never raises a priority."""

    @model_validator(mode="after")
    def _triage_by_its_figures(self) -> Label:
        point = self.triage
        if point is None:
            return self
        if point.raises_priority and point.objection:
            raise ValueError(f"{self.name} claims triage.raises_priority against its own figures: {point.objection}")
        if point.threshold < self.operating_point:
            raise ValueError(f"{self.name}: triage.threshold is below operating_point, from which it is present")
        return self

    def raises(self, probability: float) -> bool:
        """Whether the card lets a finding of this probability raise a study's priority."""
        return self.triage is not None and self.triage.raises_priority and probability >= self.triage.threshold

    def region_threshold(self, peak: float) -> float:
        """Raw saliency from which on a map with this peak has regions; infinite where none are shown."""
        if not self.shows_regions:
            return math.inf
        return max(self.saliency_threshold, self.region_of_peak * peak)

    @property
    def region_rule(self) -> str:
        """The same in words."""
        own = f" and {100 * self.region_of_peak:g} % of its peak" if self.region_of_peak else ""
        return f">= {self.saliency_threshold:g}{own}"

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")
