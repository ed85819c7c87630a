"""Nodule candidates on chest CT by classical image analysis.

Air inside the body is lung; closing the lung takes in nodules that touch the pleura; opening what is dense in there
cuts vessels away; what is left is scored by its shape and by how much lung lies around it. In the line of Armato et
al., Automated detection of lung nodules in CT scans, Medical Physics 28 (2001). Nothing is learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.ct.air import air_lungs
from models.anatomy.ct.grid import resampled
from models.anatomy.ct.morphology import box_of, closed, distance, widened
from models.card import Detector
from models.errors import InputError
from models.localizers.registry import Localized

SCORE_LIMITS = (0.001, 0.999)  # so that the logit stays finite


@dataclass(frozen=True, slots=True)
class Candidate:
    """One component and what the score is made of."""

    label: int
    diameter_mm: float  # of the sphere of its volume
    aspect: float  # longest to shortest principal axis, 1 for a sphere
    air_contact: float  # part of a shell around it that is aerated lung, 0..1
    score: float


class CandidateLocalizer:
    """The detector behind the protocol `Localizer`."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logit (1,) of the best candidate's score; saliency (1, d, h, w): each candidate's score inside it, else 0.

        Raises
        ------
        InputError
            No spacing, or no lungs in the volume.
        """
        if spacing is None or len(spacing) != 3:
            raise InputError("The nodule-candidate detector needs the spacing (z, y, x) of the volume in mm.")
        working = resampled(image, spacing, self.detector.working_spacing_mm)
        lung = air_lungs(working, self.detector.lung_threshold_hu)
        box = widened(box_of(lung), lung, self.detector.closing_mm)
        components, found = candidates(working[box], closed(lung[box], self.detector.closing_mm), self.detector)
        best = np.clip(max((one.score for one in found), default=0.0), *SCORE_LIMITS)
        table = np.zeros(int(components.max()) + 1, np.float32)
        for one in found:
            table[one.label] = one.score
        saliency = np.zeros(working.GetSize()[::-1], np.float32)
        saliency[box[::-1]] = table[components]
        return Localized(np.asarray([math.log(best / (1 - best))], np.float32), saliency[None])


def candidates(
    working: sitk.Image, lung: sitk.Image, detector: Detector
) -> tuple[NDArray[np.uint32], tuple[Candidate, ...]]:
    """Components (d, h, w) on the working grid and those of them that are candidates, best first."""
    dense = (working > detector.nodule_threshold_hu) * lung
    cores = distance(dense == 0) > detector.opening_mm  # erosion: no voxel outside within the ball
    near = distance(cores) <= detector.opening_mm + detector.growth_mm
    grown = near * (working > detector.growth_threshold_hu) * lung
    parts = sitk.ConnectedComponent(grown)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(parts)
    scored = (_scored(label, shapes, parts, working, detector) for label in shapes.GetLabels())
    found = sorted((one for one in scored if one.score >= detector.smallest_score), key=lambda one: -one.score)
    return sitk.GetArrayFromImage(parts), tuple(found[: detector.most_candidates])


def _scored(
    label: int,
    shapes: sitk.LabelShapeStatisticsImageFilter,
    parts: sitk.Image,
    working: sitk.Image,
    detector: Detector,
) -> Candidate:
    diameter = (6 * shapes.GetPhysicalSize(label) / math.pi) ** (1 / 3)
    axes = shapes.GetPrincipalMoments(label)
    aspect = math.sqrt(axes[2] / axes[0]) if axes[0] > 0 else math.inf
    if not detector.diameter_mm[0] <= diameter <= detector.diameter_mm[1]:
        return Candidate(label, diameter, aspect, 0.0, 0.0)
    contact = _air_contact(label, shapes.GetBoundingBox(label), parts, working, detector)
    score = _ramp(contact, *detector.air_contact) * _ramp(aspect, *detector.aspect)
    return Candidate(label, diameter, aspect, contact, score)


def _air_contact(label: int, box: tuple[int, ...], parts: sitk.Image, working: sitk.Image, detector: Detector) -> float:
    near, far = detector.shell_mm
    cut = widened(box, parts, far)
    away = sitk.GetArrayFromImage(distance(parts[cut] == label))
    values = sitk.GetArrayFromImage(working[cut])
    shell = (away > near) & (away <= far)
    return float((values[shell] < detector.air_hu).mean()) if shell.any() else 0.0


def _ramp(value: float, zero: float, one: float) -> float:
    """0 at `zero`, 1 at `one`, straight between them, flat beyond."""
    return min(max((value - zero) / (one - zero), 0.0), 1.0)
