"""From a prediction, what the network returned, to findings with regions, what we report."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models import calibration
from models.anatomy.ct.measures import Measures
from models.card import Card, Code, Label
from models.classes import ordinal
from models.prediction import Prediction
from models.regions import MOST_REGIONS, Mask, components
from node.errors import AnalysisError
from workers.dicom import codes
from workers.dicom.uids import Context
from workers.findings.boxed import BoxedMask
from workers.findings.location import Location
from workers.findings.lung_zones import CENTRAL, DIFFUSE_IN, Zones
from workers.findings.source import Rectangle, Source


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A connected part of the source's pixels where a label's raw saliency reaches the label's threshold.

    Attributes
    ----------
    boxed
        Where it is in the source's pixels: (rows, columns) of an image, (slices, rows, columns) of a volume.
    area_mm2, volume_mm3
        Size (image: area, volume: volume), None where the source has no pixel spacing.
    tracking_id, tracking_uid
        (0062,0020), (0062,0021); the same in the Segmentation and in the Structured Report.
    site
        Coded anatomic site, with its side where known.
    location
        Where it is.
    score
        The largest raw saliency inside.
    measures
        Of a region of a volume: its axes and density.
    rectangle
        Of a detector's box: x0, y0, x1, y1, columns and rows of the source; `boxed` has the pixels that it touches.
    """

    boxed: BoxedMask
    area_mm2: float | None
    volume_mm3: float | None
    tracking_id: str
    tracking_uid: str
    site: Code
    location: Location
    score: float
    measures: Measures | None = None
    rectangle: Rectangle | None = None

    @property
    def mask(self) -> Mask:
        """The whole mask; of a large volume rather ask `boxed`."""
        return self.boxed.whole

    @property
    def frame(self) -> int:
        """Index of the instance on which it is largest: of an image 0."""
        return self.boxed.largest_frame

    @property
    def plane(self) -> Mask:
        """(rows, columns): the mask on the instance where it is largest."""
        return self.boxed.on(self.frame)


@dataclass(frozen=True, slots=True)
class Grade:
    """Of an ordinal grade: its number from 0, the highest that there is, and the probability of it or a higher one."""

    number: int
    highest: int
    at_least: float


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One label in one source.

    Attributes
    ----------
    probability
        0..1, calibrated (a detector's: the score of its best candidate).
    threshold
        The card's operating point of the label; of exclusive classes the highest probability of another class, where
        that is higher; of ordinal grades 0, the median decides.
    present
        ``probability >= threshold``, of a class that is a finding.
    raises_priority
        Whether the card lets it raise the study's priority.
    regions
        Best first; empty where absent, and also where present but the saliency never reaches the label's threshold, or
        where it is diffuse.
    diffuse
        The lungs that the finding fills, as a key of the table of phrases (`workers.findings.wording`): "both lungs";
        empty where it has a focus or is absent.
    classes
        Exclusive classes of the card; 0 where its labels are none.
    decided
        Of exclusive classes whether this is the most probable one, and of grades the median one, a finding or not.
    grade
        Of ordinal grades.
    """

    label: Label
    probability: float
    threshold: float
    present: bool
    regions: tuple[Region, ...]
    raises_priority: bool = False
    diffuse: str = ""
    classes: int = 0
    decided: bool = False
    grade: Grade | None = None

    @property
    def keeps_the_order(self) -> bool:
        """Whether it is present and urgent, and its card does not let it raise the priority."""
        return self.present and self.label.urgency != "LOW" and not self.raises_priority


def findings_of(prediction: Prediction, card: Card, source: Source, context: Context) -> tuple[Finding, ...]:
    """A finding for each label of the card, in the card's order.

    Raises
    ------
    AnalysisError
        A probability is not a number: no result is better than a wrong "absent".
    """
    zones = source.lung_zones(prediction.zones)
    return tuple(_finding(label, card, prediction, zones, source, context) for label in card.labels)


def _finding(
    label: Label, card: Card, prediction: Prediction, zones: Zones | None, source: Source, context: Context
) -> Finding:
    index, exclusive = prediction.labels.index(label.name), card.exclusive
    probability = float(prediction.probabilities[index])
    if not 0.0 <= probability <= 1.0:
        raise AnalysisError(f"the model gave {probability} as the probability of {label.title}")
    present = label.finding and bool(calibration.present(card, prediction.probabilities)[index])
    found, diffuse = _located(label, index, prediction, zones, source, context) if present else ((), "")
    others = np.delete(prediction.probabilities, index) if card.activation == "softmax" else ()
    return Finding(
        label=label,
        probability=probability,
        threshold=max([label.operating_point, *map(float, others)]),
        present=present,
        regions=found,
        raises_priority=present and label.raises(probability),
        diffuse=diffuse,
        classes=len(card.labels) if exclusive else 0,
        decided=exclusive and index == int(calibration.decision(card, prediction.probabilities)),
        grade=_grade(index, prediction.probabilities) if card.activation == "ordinal" else None,
    )


def _grade(index: int, probabilities: NDArray[np.float32]) -> Grade:
    return Grade(index, len(probabilities) - 1, float(ordinal.at_least(probabilities)[index]))


def _located(
    label: Label, index: int, prediction: Prediction, zones: Zones | None, source: Source, context: Context
) -> tuple[tuple[Region, ...], str]:
    if prediction.boxes is not None:
        return _boxes(label, prediction.boxes[index], zones, source, context), ""
    return _regions(label, prediction.saliency[index], zones, source, context)


def _boxes(
    label: Label, boxes: NDArray[np.float32], zones: Zones | None, source: Source, context: Context
) -> tuple[Region, ...]:
    """The boxes (n, 5) whose score reaches the label's threshold."""
    least = label.region_threshold(float(boxes[0, 4])) if len(boxes) else 0.0
    drawn = [(found, float(box[4])) for box in boxes if box[4] >= least and (found := source.box(box)) is not None]
    shape = (int(source.headers[0].Rows), int(source.headers[0].Columns))
    regions = (
        replace(
            _region(label, number, touched(rectangle, shape), score, zones=zones, source=source, context=context),
            rectangle=rectangle,
        )
        for number, (rectangle, score) in enumerate(drawn, start=1)
    )
    return tuple(regions)


def touched(rectangle: Rectangle, shape: tuple[int, int]) -> BoxedMask:
    """The pixels that a rectangle touches."""
    x0, y0, x1, y1 = rectangle
    box = slice(math.floor(y0), math.ceil(y1)), slice(math.floor(x0), math.ceil(x1))
    return BoxedMask(np.ones((box[0].stop - box[0].start, box[1].stop - box[1].start), np.bool_), box, shape)


def _regions(
    label: Label, saliency: NDArray[np.float32], zones: Zones | None, source: Source, context: Context
) -> tuple[tuple[Region, ...], str]:
    """The regions, or, where they would fill a lung, `Finding.diffuse`."""
    part, valid = source.part(saliency, label), source.valid
    if part is None:
        return (), ""
    inside = part.values >= part.threshold
    inside = inside if valid is None else inside & valid
    if not inside.any():
        return (), ""
    can_be_diffuse = zones is not None and label.territory in DIFFUSE_IN
    diffuse = zones.diffuse(BoxedMask.of(inside, part.box, part.shape)) if zones and can_be_diffuse else ""
    if diffuse:
        return (), diffuse
    masks = components(inside, valid, part.values, source.smallest_region(label), MOST_REGIONS, label.region)
    scored = [(BoxedMask.of(mask, part.box, part.shape), float(part.values[mask].max())) for mask in masks]
    found = (
        _region(label, index, *each, zones=zones, source=source, context=context)
        for index, each in enumerate(scored, start=1)
    )
    return tuple(found), ""


def _region(
    label: Label, index: int, boxed: BoxedMask, score: float, *, zones: Zones | None, source: Source, context: Context
) -> Region:
    location = source.location(boxed, zones)
    if zones is not None and label.territory in CENTRAL:
        location = replace(location, across="central", zone="")
    area_mm2, volume_mm3 = source.size(boxed.size)
    return Region(
        boxed=boxed,
        area_mm2=area_mm2,
        volume_mm3=volume_mm3,
        tracking_id=f"{label.title} {index}",
        tracking_uid=context.uid(f"tracking/{label.name}/{index}", *source.sop_instance_uids),
        site=codes.site(label.site, location.side),
        location=location,
        score=score,
        measures=source.measures(boxed),
    )
