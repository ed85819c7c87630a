"""Regions as a DICOM Segmentation (PS3.3 A.51): BINARY, a segment each, in the source's own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.attributes import text
from workers.dicom.evidence import prepared
from workers.dicom.geometry import orientation, require_frame_of_reference
from workers.dicom.uids import Context
from workers.findings import equipment, wording
from workers.findings.analysed import AnalysedSource, AnalysedStudy
from workers.findings.findings import Finding, Region
from workers.findings.source import Source
from workers.results.registry import series_number


def segmentations(study: AnalysedStudy) -> Iterator[Dataset]:
    """The segments of each source that has regions. A detector's boxes are none: filled, they would be wrong outlines.

    Segments may overlap. They carry the tracking identifiers of the regions document. Only the slices that a region
    touches have frames: a whole thorax of empty planes would be megabytes of nothing.

    A volume to which slices were added is segmented anew in the same series, with a higher Instance Number: viewers
    show the last instance of a series (OHIF: sorted by Instance Number), and lists sort them by nothing that helps.
    """
    return (_segmentation(each) for each in study.sources if each.regions and not each.boxes)


def _segmentation(analysed: AnalysedSource) -> Dataset:
    source, context, pairs = analysed.source, analysed.context, analysed.regions
    touched, uids = analysed.touched, source.sop_instance_uids
    what = "findings" if context.card.category == "finding" else "organs"
    pixels = _pixels([region for _, region in pairs], touched)
    dataset: Dataset = hd.seg.Segmentation(
        source_images=_images(analysed),
        pixel_array=pixels,
        **_coding(pixels.shape),
        segment_descriptions=[_segment(number, *pair, context) for number, pair in enumerate(pairs, start=1)],
        series_instance_uid=context.uid("segmentation/series", _series_key(analysed)),
        series_number=series_number("segmentation"),
        sop_instance_uid=context.uid("segmentation/instance", *uids),
        instance_number=len(uids),
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=context.card.name,
        software_versions=equipment.software_versions(context),
        device_serial_number=context.digest[:16],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=hd.PixelMeasuresSequence(**source.pixel_measures._asdict()),
        content_label=what.upper(),
        content_description=equipment.RESEARCH,
        series_description=equipment.series_description(
            context, source.series_name("regions" if what == "findings" else what)
        ),
    )
    if not _in_space(source):
        _make_drawable(dataset, source.headers[0])
    _fix_dimension_organization(dataset, context.uid("segmentation/dimensions", *uids))
    equipment.sign(dataset, context)
    return dataset


def _pixels(regions: Sequence[Region], touched: Sequence[int]) -> NDArray[np.uint8]:
    """(frames, rows, columns, segments) of the frames that a region touches."""
    planes = [np.stack([region.boxed.on(frame) for region in regions], axis=-1) for frame in touched]
    return np.stack(planes).view(np.uint8)


def _coding(shape: tuple[int, ...]) -> dict[str, Any]:
    """How pixels (frames, rows, columns, segments) are coded: BINARY wherever every frame begins on a whole byte.

    Bits of a BINARY Segmentation run on from frame to frame (PS3.5 8.1.1). Where rows times columns are no multiple of
    eight, Orthanc 1.10 serves no such frame ("Bad file format") and OHIF 3.13 draws scattered pixels. There it is
    FRACTIONAL with nothing between 0 and its maximum, which viewers take as binary.
    """
    frames, rows, columns, segments = shape
    if rows * columns % 8 == 0 or frames * segments == 1:
        return {"segmentation_type": "BINARY"}
    return {"segmentation_type": "FRACTIONAL", "fractional_type": "OCCUPANCY", "max_fractional_value": 255}


def _series_key(analysed: AnalysedSource) -> str:
    """A series of Segmentations for each image, and for each series of slices."""
    return text(analysed.source.headers[0], "SeriesInstanceUID" if analysed.source.is_volume else "SOPInstanceUID")


def _images(analysed: AnalysedSource) -> list[Dataset]:
    """Headers of the frames that a region touches; patient and study are taken from the first."""
    first, *others = (analysed.source.headers[frame] for frame in analysed.touched)
    in_space = _in_space(analysed.source)
    if in_space:
        require_frame_of_reference(first, "a Segmentation")
    first = prepared(first)
    if not in_space:  # some DX have a Frame of Reference without a plane, which highdicom looks for
        first.pop("FrameOfReferenceUID", None)
    return [first, *others]


def _in_space(source: Source) -> bool:
    """Whether the source has a place in the patient: slices, and a single image of CT, MR or PT."""
    return source.is_volume or "ImagePositionPatient" in source.headers[0]


def _segment(number: int, finding: Finding, region: Region, context: Context) -> Any:
    label = finding.label
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=region.tracking_id[:64],
        segmented_property_category=codes.coded(codes.SEGMENT_CATEGORIES[context.card.category]),
        segmented_property_type=codes.coded(label.code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=equipment.segment_algorithm(context, label),
        tracking_uid=region.tracking_uid,
        tracking_id=region.tracking_id,
        anatomic_regions=[codes.coded(region.site)],
        display_color=codes.cielab(label.colour),
    )
    threshold = f"{equipment.method(context)} {label.region_rule}"
    segment.SegmentAlgorithmName = f"{context.card.name} {context.card.version} {threshold}"[:64]
    where = f", {wording.place(region.location)}" if context.card.category == "finding" else ""
    segment.SegmentDescription = f"{label.title}{where}"[:1024]
    return segment


def _make_drawable(dataset: Dataset, header: Dataset) -> None:
    """What OHIF and dciodvfy miss in highdicom's Segmentation of a radiograph, in place.

    OHIF reads Image Orientation (Patient) of every segmentation, and draws none without it. On a radiograph it
    has no meaning for the patient. dciodvfy asks for Patient Orientation, empty where unknown.
    """
    plane = hd.PlaneOrientationSequence("PATIENT", [1, 0, 0, 0, 1, 0])
    dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = plane
    dataset.PatientOrientation = list(orientation(header) or ()) or None


def _fix_dimension_organization(dataset: Dataset, uid: str) -> None:
    """highdicom draws a new Dimension Organization UID on each run; ours is derived like every other."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
