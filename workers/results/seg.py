"""Regions as a DICOM Segmentation (PS3.3 A.51): BINARY, a segment each, in the source's own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.attributes import numbers, text
from workers.dicom.evidence import pixel_spacing, prepared
from workers.dicom.geometry import orientation, require_frame_of_reference
from workers.dicom.uids import Context
from workers.findings import equipment
from workers.findings.findings import Finding, ImageSource, Region, Source, named, source_headers, source_uids
from workers.inputs.volume import SourceVolume

SERIES_NUMBER = 9101
Pairs = list[tuple[Finding, Region]]


def segmentation(findings: Sequence[Finding], source: Source, context: Context) -> Dataset | None:
    """The segments of one source's regions; None where there is no region.

    Segments may overlap. They carry the tracking identifiers of the regions document.

    A volume to which slices were added is segmented anew in the same series, with a higher Instance Number: viewers
    show the last instance of a series (OHIF: sorted by Instance Number), and lists sort them by nothing that helps.
    """
    pairs: Pairs = [(finding, region) for finding in findings for region in finding.regions]
    if not pairs:
        return None
    images, masks, measures = (
        _of_volume(pairs, source) if isinstance(source, SourceVolume) else _of_image(pairs, source)
    )
    sources = source_uids(source)
    dataset: Dataset = hd.seg.Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=[_segment(number, *pair, context) for number, pair in enumerate(pairs, start=1)],
        series_instance_uid=context.uid("segmentation/series", _series_key(source)),
        series_number=SERIES_NUMBER,
        sop_instance_uid=context.uid("segmentation/instance", *sources),
        instance_number=len(sources),
        manufacturer=equipment.MANUFACTURER,
        manufacturer_model_name=context.card.name,
        software_versions=equipment.software_versions(context),
        device_serial_number=context.digest[:16],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=measures,
        content_label="FINDINGS",
        content_description=equipment.RESEARCH,
        series_description=equipment.series_description(context, named(source, "regions")),
    )
    if isinstance(source, ImageSource):
        _make_drawable(dataset, source.image.dataset)
    _fix_dimension_organization(dataset, context.uid("segmentation/dimensions", *sources))
    equipment.sign(dataset, context)
    return dataset


def _series_key(source: Source) -> str:
    """A series of Segmentations for each image, and for each series of slices."""
    header = source_headers(source)[0]
    return text(header, "SeriesInstanceUID" if isinstance(source, SourceVolume) else "SOPInstanceUID")


def _of_image(pairs: Pairs, source: ImageSource) -> tuple[list[Dataset], NDArray[np.uint8], Any]:
    header = prepared(source.image.dataset)
    if "FrameOfReferenceUID" in header:  # some DX have one without a plane in it, and highdicom looks for the plane
        del header.FrameOfReferenceUID
    spacing, _ = pixel_spacing(header)
    # Without Pixel Measures OHIF's whole page dies on a radiograph, so 1 mm stands in where no spacing is known;
    # highdicom's reader then asks for a slice thickness, which a projection has not: 1 mm stands in there too.
    measures = hd.PixelMeasuresSequence(pixel_spacing=spacing or (1.0, 1.0), slice_thickness=1.0)
    masks = np.moveaxis(np.stack([region.mask for _, region in pairs]), 0, -1)[np.newaxis]
    return [header], masks.view(np.uint8), measures


def _of_volume(pairs: Pairs, source: SourceVolume) -> tuple[list[Dataset], NDArray[np.uint8], Any]:
    """Only the slices that a region touches: a whole thorax of empty planes would be megabytes of nothing."""
    touched = np.flatnonzero(np.any([region.mask.any(axis=(1, 2)) for _, region in pairs], axis=0))
    headers = source_headers(source)
    require_frame_of_reference(headers[0], "a Segmentation")
    thickness = numbers(headers[0], "SliceThickness")
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=source.spacing[1:],
        slice_thickness=thickness[0] if thickness else source.spacing[0],
        spacing_between_slices=source.spacing[0],
    )
    masks = np.stack([region.mask[touched] for _, region in pairs], axis=-1)
    first, *others = (headers[index] for index in touched)
    return [prepared(first), *others], masks.view(np.uint8), measures  # patient and study are taken from the first


def _segment(number: int, finding: Finding, region: Region, context: Context) -> Any:
    label = finding.label
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=region.tracking_id[:64],
        segmented_property_category=codes.coded(codes.ABNORMAL_STRUCTURE),
        segmented_property_type=codes.coded(label.code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=equipment.segment_algorithm(context, label),
        tracking_uid=region.tracking_uid,
        tracking_id=region.tracking_id,
        anatomic_regions=[codes.coded(region.site)],
        display_color=codes.cielab(label.colour),
    )
    threshold = f"{equipment.method(context)} >= {label.saliency_threshold:g}"
    segment.SegmentAlgorithmName = f"{context.card.name} {context.card.version} {threshold}"[:64]
    segment.SegmentDescription = f"{label.title}, {region.place}"[:1024]
    return segment


def _make_drawable(dataset: Dataset, header: Dataset) -> None:
    """What OHIF and dciodvfy miss in highdicom's Segmentation of a radiograph, in place.

    OHIF reads Image Orientation (Patient) of every segmentation, and draws none without it. On a radiograph it says
    nothing about the patient. dciodvfy asks for Patient Orientation, empty where unknown.
    """
    plane = hd.PlaneOrientationSequence("PATIENT", [1, 0, 0, 0, 1, 0])
    dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = plane
    dataset.PatientOrientation = list(orientation(header) or ()) or None


def _fix_dimension_organization(dataset: Dataset, uid: str) -> None:
    """highdicom draws a new Dimension Organization UID on each run; ours is derived like every other."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
