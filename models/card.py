"""The card of a model package: what it finds, what it may see, how it was measured, what its weights are."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.augmentation import Augmentation
from models.classes.rules import exclusive_objection
from models.slices.table import Slices

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Interval = tuple[Fraction, Fraction]
Text = Annotated[str, Field(min_length=1)]
LEAST_AUC = 0.70  # the lower bound of a label's AUC must be above it before the label may raise a priority
LEAST_SPECIFICITY = 0.95  # at the operating point for triage
COARSEST_STRIDE = 32  # input pixels a cell of the last tap


class Code(NamedTuple):
    """A coded concept, PS3.3 section 8: Code Value, Coding Scheme Designator, Code Meaning."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]


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


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TriagePoint(_Table):
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


class Label(_Table):
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
    shows_regions: bool = True
    """Whether regions are drawn: no, where the maps were not seen to lie on what people outlined."""
    smallest_region_fraction: Fraction = 0.0
    """Images: smallest region as a fraction of the image's area."""
    smallest_region_mm3: Annotated[float, Field(ge=0.0)] = 0.0
    """Volumes: smallest region."""
    colour: tuple[Byte, Byte, Byte]
    territory: str = "chest"
    """With [anatomy]: where the finding can lie, a name of `models.anatomy.territories.TERRITORIES`."""
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


class Input(_Table):
    """What the model may see. An empty tuple or None sets no rule."""

    kind: Literal["image", "volume"]
    modalities: Annotated[tuple[str, ...], Field(min_length=1)]
    body_parts: tuple[str, ...] = ()
    """Body Part Examined (0018,0015), upper case."""
    views: tuple[str, ...] = ()
    """View Position (0018,5101) of an image, upper case."""
    size: tuple[int, int] | None = None
    """(rows, columns) of the network's input; images only."""
    smallest_rows_columns: tuple[int, int] = (1, 1)
    smallest_slices: Annotated[int, Field(ge=1)] = 1
    slice_thickness: tuple[float, float] | None = None
    """(smallest, largest) distance between slices in mm; volumes only."""
    kernel: Literal["soft", "lung"] = "soft"
    """Of volumes that are alike in all else the one with such a reconstruction kernel is analysed."""

    @model_validator(mode="after")
    def _image_has_size(self) -> Input:
        if (self.kind == "image") != (self.size is not None):
            raise ValueError('size = [rows, columns] is needed for kind "image" and has no place in kind "volume"')
        return self


class Weights(_Table):
    """The weights' file beside the card."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\.(safetensors|onnx)$")] = "weights.safetensors"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: str = ""
    """Where the weights were published, where they were not trained here."""
    source_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Of the file from there."""


class Network(_Table):
    """How the network of a package is built."""

    backbone: Text
    """A name of `models.networks.registry.NETWORKS`."""
    taps: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Blocks whose averaged maps the linear head sees, the finest first; none for a network that has one end."""
    channels: Literal[1, 3] = 3
    """Of the network's input, all alike."""
    border: Annotated[int, Field(ge=0)] = 0
    """Cells of the coarsest tap at each side that are left out: markers, collimation, what padding does."""
    deviations: bool = False
    """Each tap's maps are joined by how far they are from the average image's, channel by channel."""
    mean: float
    std: Annotated[float, Field(gt=0.0)]
    """The network's input is (intensity - mean) / std, the same in all channels."""
    scaling: Literal["none", "range", "standard"] = "none"
    """Of each image's intensities before that: none, to 0..1 (range), or to mean 0 and deviation 1 (standard)."""


class Anatomy(_Table):
    """The lungs that another package finds; of an image, the network sees a square around them."""

    package: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of that package's weights."""
    crop: Annotated[int, Field(ge=0, multiple_of=96)] = 0
    """Pixels a side of the square; 0 of a volume."""


class Window(NamedTuple):
    """HU that one channel of a network's input spreads from 0 to 1."""

    centre: float
    width: Annotated[float, Field(gt=0.0)]


class VolumeInput(_Table):
    """How a volume becomes the input of a network; see `models.anatomy.volumes`."""

    spacing_mm: tuple[Annotated[float, Field(gt=0.0)], Annotated[float, Field(gt=0.0)], Annotated[float, Field(gt=0.0)]]
    """(z, y, x) of the voxels that the network sees, to the nearest that divides the volume."""
    resolution_mm: Annotated[float, Field(ge=0.0)] = 0.0
    """Finer detail is smoothed away, so that sharp and blurred scans look alike."""
    margin_mm: Annotated[float, Field(ge=0.0)] = 12.0
    """Around the lungs."""
    lung_threshold_hu: float = -400.0
    """Air inside the body below it is lung."""
    windows: tuple[Window, Window, Window]
    """The three channels."""
    slab: Annotated[int, Field(ge=1)] = 1
    """Slices whose features are averaged."""
    zones: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1, 1)
    """(z, y, x) parts of the crop in which features are averaged; (1, 1, 1): the mean over all slices."""
    bag: Literal["cells", "slices"] = "cells"
    """With attention: what it weighs."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Slices in the network at once: memory does not grow with the number of slices."""

    @model_validator(mode="after")
    def _batch_of_slabs(self) -> VolumeInput:
        if self.batch % self.slab:
            raise ValueError("volume.batch must be a multiple of volume.slab")
        return self


class Detector(_Table):
    """Parameters of the classical nodule-candidate detector; see `models.localizers.detectors.nodules`."""

    working_spacing_mm: Annotated[float, Field(gt=0.0)]
    lung_threshold_hu: float
    """Air inside the body below it is lung."""
    closing_mm: Annotated[float, Field(gt=0.0)]
    """Radius of the ball that closes the lung mask."""
    nodule_threshold_hu: float
    opening_mm: Annotated[float, Field(ge=0.0)]
    """Radius of the ball that a candidate's core must hold; thinner vessels fall away."""
    growth_mm: Annotated[float, Field(ge=0.0)]
    growth_threshold_hu: float
    """The opened core grows back, and by `growth_mm` more, where HU are above it."""
    diameter_mm: tuple[float, float]
    """(smallest, largest) diameter of a sphere of the candidate's volume."""
    shell_mm: tuple[float, float]
    air_hu: float
    """Air contact is the part of the shell between these distances that is below these HU."""
    air_contact: tuple[float, float]
    """Where it counts 0 and 1 in the score."""
    aspect: tuple[float, float]
    """Longest to shortest principal axis: where it counts 0 and 1 in the score."""
    smallest_score: Fraction
    most_candidates: Annotated[int, Field(ge=1)]


class Measurement(_Table):
    """One measured area under the ROC curve, beside the baseline that sees no image."""

    label: Text
    data: Text
    """Which images, for instance "validation A"."""
    positives: int
    images: int
    auc: Fraction
    interval: Interval
    """95 % bootstrap interval, resampled by patient."""
    baseline: Fraction | None = None
    """AUC of view, sex, age, follow-up number and source alone on the same images."""
    sensitivity: Fraction | None = None
    specificity: Fraction | None = None
    """At the operating point."""


class Overlap(_Table):
    """How far masks agree with people's on some images."""

    data: Text
    """Which images, for instance "validation"."""
    images: int
    dice: Fraction
    """Mean over the images, each at its file's size."""
    interval: tuple[Fraction, Fraction]
    """95 % bootstrap interval, resampled by patient."""
    lowest: Fraction
    """Of one image."""


class Training(_Table):
    """How the package was made and measured."""

    data: Text
    split: Text
    method: Text
    citation: str = ""
    seed: int | None = None
    date: str = ""
    """Day on which the run began, YYYY-MM-DD."""
    penalty: float | None = None
    """L2 penalty of the linear head, chosen by cross-validation inside the training split."""
    backbone: str = ""
    """How its weights were made where they are not the published ones."""
    baseline: str = ""
    simulated: bool = False
    """Trained on simulated lesions: results say so, and the card lets no finding raise a priority."""
    measured: tuple[Measurement, ...] = ()
    overlaps: tuple[Overlap, ...] = ()


class Card(_Table):
    """All that is known of a package but its weights."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    title: Text
    manufacturer: Text
    summary: Text
    licence: Text
    limits: Annotated[tuple[Text, ...], Field(min_length=1)]
    algorithm: Literal["neural network", "classical image analysis"]
    quantity: Literal["probability", "score"]
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    """Softmax: the labels are exclusive classes, one of which each input has."""
    category: Literal["finding", "structure"] = "finding"
    """What its labels are. A structure is an organ: it is segmented, is in no report, and requests no priority."""
    localizer: Text
    """How findings are located: a name of `models.localizers.registry.LOCALIZERS`."""
    input: Input
    network: Network | None = None
    anatomy: Anatomy | None = None
    detector: Detector | None = None
    slices: Slices | None = None
    volume: VolumeInput | None = None
    augmentation: Augmentation | None = None
    weights: Weights | None = None
    training: Training
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Card:
        if self.network and self.input.size and min(self.input.size) // COARSEST_STRIDE <= 2 * self.network.border:
            raise ValueError(f"network.border leaves no cell: input.size must exceed {COARSEST_STRIDE} x 2 x border")
        if self.anatomy and (self.anatomy.crop > 0) != (self.input.kind == "image"):
            raise ValueError(
                "anatomy.crop is the side of the square that is cut from an image; of a volume there is none"
            )
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("labels: two labels have the same name")
        objection = exclusive_objection(self.labels, self.quantity, self.activation)
        if objection:
            raise ValueError(objection)
        if self.training.simulated and any(label.triage and label.triage.raises_priority for label in self.labels):
            raise ValueError("training.simulated: what was trained on simulated lesions may not claim raises_priority")
        return self
