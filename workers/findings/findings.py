"""From what the network said (prediction) to what we report (findings with regions)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from models.card import Card, Code, Label
from models.prediction import Prediction
from models.regions import MOST_REGIONS, Mask, components
from node.errors import AnalysisError
from workers.dicom import codes
from workers.dicom.attributes import number, numbered, words
from workers.dicom.evidence import pixel_spacing
from workers.dicom.uids import Context
from workers.findings import location as regions
from workers.findings import wording
from workers.findings.location import Location
from workers.inputs.grid import Grid
from workers.inputs.pixels import SourceImage
from workers.inputs.volume import SourceVolume


@dataclass(frozen=True, slots=True, eq=False)
class ImageSource:
    """One image that was analysed, and the way back from the network's input to its pixels."""

    image: SourceImage
    grid: Grid


Source = ImageSource | SourceVolume


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A connected part of the source's pixels where a label's raw saliency reaches the label's threshold.

    Attributes
    ----------
    mask
        Image: (rows, columns). Volume: (slices, rows, columns), in the source's order.
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
    """

    mask: NDArray[np.bool_]
    area_mm2: float | None
    volume_mm3: float | None
    tracking_id: str
    tracking_uid: str
    site: Code
    location: Location
    score: float

    @property
    def place(self) -> str:
        """Where it is, in English: "right lower zone", "left, slice at z = -125.0 mm (image 87)"."""
        return wording.place(self.location, "en")


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What one label came to in one source.

    Attributes
    ----------
    probability
        0..1, calibrated (a detector's: the score of its best candidate).
    present
        ``probability >= operating_point``.
    regions
        Best first; empty where absent, and also where present but the saliency never reaches the label's threshold.
    """

    label: Label
    probability: float
    operating_point: float
    present: bool
    regions: tuple[Region, ...]


def source_headers(source: Source) -> tuple[Dataset, ...]:
    """Headers of all instances that were analysed: one of an image, one a slice of a volume."""
    return source.headers if isinstance(source, SourceVolume) else (source.image.dataset,)


def source_uids(source: Source) -> tuple[str, ...]:
    """Their SOP Instance UIDs."""
    return tuple(str(header.SOPInstanceUID) for header in source_headers(source))


def named(source: Source, what: str) -> str:
    """A result in the list of series: a study may hold one for each image, "S:2 I:1 regions"."""
    return what if isinstance(source, SourceVolume) else f"{numbered(source.image.dataset)} {what}"


def findings_of(prediction: Prediction, card: Card, source: Source, context: Context) -> tuple[Finding, ...]:
    """A finding for each label of the card, in the card's order.

    Raises
    ------
    AnalysisError
        A probability is not a number: no result is better than a wrong "absent".
    """
    return tuple(_finding(label, prediction, source, context) for label in card.labels)


def largest_slice(mask: NDArray[np.bool_]) -> int:
    """Index of the slice on which a volume's region has most pixels; the middle one of several."""
    sizes = mask.sum(axis=(1, 2))
    largest = np.flatnonzero(sizes == sizes.max())
    return int(largest[len(largest) // 2])


def _finding(label: Label, prediction: Prediction, source: Source, context: Context) -> Finding:
    index = prediction.labels.index(label.name)
    probability = float(prediction.probabilities[index])
    if not 0.0 <= probability <= 1.0:
        raise AnalysisError(f"the model gave {probability} as the probability of {label.title}")
    present = probability >= label.operating_point
    found = _regions(label, prediction.saliency[index], source, context) if present else ()
    return Finding(label, probability, label.operating_point, present, found)


def _regions(label: Label, saliency: NDArray[np.float32], source: Source, context: Context) -> tuple[Region, ...]:
    if isinstance(source, SourceVolume):
        resampled, allowed = source.to_source(saliency), None
        smallest = label.smallest_region_mm3 / float(np.prod(source.spacing))
    else:
        resampled, allowed = source.grid.to_source(saliency), source.image.valid
        smallest = label.smallest_region_fraction * resampled.size
    inside = resampled >= label.saliency_threshold
    inside = inside if allowed is None else inside & allowed
    masks = components(inside, allowed, resampled, smallest, MOST_REGIONS)
    return tuple(
        _region(label, index, mask, float(resampled[mask].max()), source=source, context=context)
        for index, mask in enumerate(masks, start=1)
    )


def _region(label: Label, index: int, mask: Mask, score: float, *, source: Source, context: Context) -> Region:
    where = _volume_location(mask, source) if isinstance(source, SourceVolume) else _image_location(mask, source)
    return Region(
        mask=mask,
        area_mm2=None if isinstance(source, SourceVolume) else _area_mm2(mask, source.image.dataset),
        volume_mm3=float(mask.sum() * np.prod(source.spacing)) if isinstance(source, SourceVolume) else None,
        tracking_id=f"{label.title} {index}",
        tracking_uid=context.uid(f"tracking/{label.name}/{index}", *source_uids(source)),
        site=codes.site(label.site, where.side),
        location=where,
        score=score,
    )


def _image_location(mask: Mask, source: ImageSource) -> Location:
    return regions.image_location(mask, words(source.image.dataset, "PatientOrientation"))


def _area_mm2(mask: Mask, header: Dataset) -> float | None:
    spacing, _ = pixel_spacing(header)
    return float(mask.sum()) * spacing[0] * spacing[1] if spacing else None


def _volume_location(mask: Mask, source: SourceVolume) -> Location:
    index = largest_slice(mask)
    towards_left = (source.direction[1, 0] * source.spacing[1], source.direction[2, 0] * source.spacing[2])
    side = regions.volume_side(mask[index], source.array[index], towards_left)
    z = source.position((index, 0, 0))[2]
    image = number(source.headers[index], "InstanceNumber", index + 1)
    return Location(side or "midline", z=z, image=image)
