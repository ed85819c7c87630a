"""What a result must be so that viewers show it: a table of rules, each with what happens where it is broken.

Found by trying, with OHIF 3.13.2 on Orthanc 1.10.1; what Weasis and IHE AI Results ask for is beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.dicom.identity import is_received_uid, is_uid
from workers.dicom.codes import IMAGE_LIBRARY, ORIGINAL_SOURCE, PROCESSING_EQUIPMENT, REGIONS_TITLE
from workers.dicom.content_tree import concept, content_items, evidence_complete
from workers.findings.wording import PHRASES
from workers.results.registry import kinds

IMAGE_REGION = "111030"  # DCM, TID 1410
IMAGING_MEASUREMENTS = "126010"  # DCM, TID 1500
MEASUREMENT_GROUP = "125007"  # DCM, TID 1501
_SOURCE_UIDS = frozenset(
    {
        "StudyInstanceUID", "SeriesInstanceUID", "ReferencedSOPInstanceUID", "FrameOfReferenceUID",
        "ReferencedFrameOfReferenceUID",
    }
)  # fmt: skip
TRACKING_IDENTIFIER, TRACKING_UID = "112039", "112040"  # DCM, TID 1501


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an object of one SOP class must be; `reason` is what is wrong where it is not."""

    sop_class_uid: str  # empty: every object
    met: Callable[[Dataset], bool]
    reason: str


def broken(requirements: Iterable[Requirement], dataset: Dataset) -> tuple[str, ...]:
    """Reasons of those that apply to the object's SOP class and are not met."""
    applicable = (one for one in requirements if one.sop_class_uid in ("", dataset.get("SOPClassUID")))
    return tuple(one.reason for one in applicable if not one.met(dataset))


def _groups(dataset: Dataset) -> list[Dataset]:
    return [item for item in content_items(dataset) if concept(item) == MEASUREMENT_GROUP]


def _of_a_kind(dataset: Dataset) -> bool:
    return dataset.get("SOPClassUID") in {kind.sop_class_uid for kind in kinds().values()}


def _all_uids_valid(dataset: Dataset) -> bool:
    """Its own ones, and wherever else a VR of UI stands; those of its source are as they were received."""
    found = [element for element in dataset.iterall() if element.VR == "UI" and element.value]
    own = [dataset.get("SOPInstanceUID"), dataset.get("SeriesInstanceUID")]
    own += [one for element in found if element.keyword not in _SOURCE_UIDS for one in _values(element)]
    sources = [one for element in found if element.keyword in _SOURCE_UIDS for one in _values(element)]
    return all(is_uid(str(one)) for one in own) and all(is_received_uid(str(one)) for one in sources)


def _values(element: DataElement) -> list[object]:
    return [element.value] if isinstance(element.value, str) else list(element.value)


def _has_our_equipment(dataset: Dataset) -> bool:
    needed = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")
    return any(
        item.PurposeOfReferenceCodeSequence[0].CodeValue == PROCESSING_EQUIPMENT.value
        and all(item.get(keyword) for keyword in needed)
        for item in dataset.get("ContributingEquipmentSequence", ())
    )


def _equipment_agrees(dataset: Dataset) -> bool:
    """IHE AI Results: General Equipment, Contributing Equipment and the observer (TID 1004) are the same."""
    ours = [
        item
        for item in dataset.get("ContributingEquipmentSequence", ())
        if item.PurposeOfReferenceCodeSequence[0].CodeValue == PROCESSING_EQUIPMENT.value
    ]
    keywords = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")
    agreed = all(item.get(keyword) == dataset.get(keyword) for item in ours for keyword in keywords)
    observer = {concept(item): str(item.get("UID") or item.get("TextValue")) for item in content_items(dataset)}
    return agreed and all(
        observer.get(code, dataset.get(keyword)) == dataset.get(keyword)
        for code, keyword in (("121012", "DeviceUID"), ("121014", "Manufacturer"), ("121015", "ManufacturerModelName"))
    )


def _shared(dataset: Dataset) -> Dataset:
    shared = dataset.get("SharedFunctionalGroupsSequence")
    return shared[0] if shared else Dataset()


def _has_plane(dataset: Dataset) -> bool:
    frames = dataset.get("PerFrameFunctionalGroupsSequence", ())
    return "PlaneOrientationSequence" in _shared(dataset) or (
        len(frames) > 0 and all("PlaneOrientationSequence" in frame for frame in frames)
    )


def _has_measures(dataset: Dataset) -> bool:
    measures = _shared(dataset).get("PixelMeasuresSequence")
    return bool(measures) and len(measures[0].get("PixelSpacing") or ()) == 2


def _has_derivation(dataset: Dataset) -> bool:
    frames = dataset.get("PerFrameFunctionalGroupsSequence", ())
    everywhere = bool(_shared(dataset).get("DerivationImageSequence"))
    return everywhere or (len(frames) > 0 and all(frame.get("DerivationImageSequence") for frame in frames))


def _knows_patient_orientation(dataset: Dataset) -> bool:
    return "FrameOfReferenceUID" in dataset or "PatientOrientation" in dataset


def _segments_tracked(dataset: Dataset) -> bool:
    segments = dataset.get("SegmentSequence", ())
    return len(segments) > 0 and all(one.get("TrackingID") and one.get("TrackingUID") for one in segments)


def _segments_automatic(dataset: Dataset) -> bool:
    return all(
        one.get("SegmentAlgorithmType") == "AUTOMATIC" and one.get("SegmentationAlgorithmIdentificationSequence")
        for one in dataset.get("SegmentSequence", ())
    )


def _is_regions_document(dataset: Dataset) -> bool:
    return concept(dataset) == REGIONS_TITLE.value


def _groups_have_outlines(dataset: Dataset) -> bool:
    return not _is_regions_document(dataset) or all(
        any(concept(item) == IMAGE_REGION and item.ValueType == "SCOORD" for item in group.ContentSequence)
        for group in _groups(dataset)
    )


def _outlines_closed(dataset: Dataset) -> bool:
    return all(
        item.GraphicType == "POLYLINE" and len(item.GraphicData) >= 8 and item.GraphicData[:2] == item.GraphicData[-2:]
        for item in content_items(dataset)
        if item.get("ValueType") == "SCOORD"
    )


def _numbers_without_coordinates(dataset: Dataset) -> bool:
    return not any(
        child.get("ValueType") in ("SCOORD", "SCOORD3D")
        for item in content_items(dataset)
        if item.get("ValueType") == "NUM"
        for child in item.get("ContentSequence", ())
    )


def _groups_tracked(dataset: Dataset) -> bool:
    return all(
        {TRACKING_IDENTIFIER, TRACKING_UID} <= {concept(item) for item in group.ContentSequence}
        for group in _groups(dataset)
    )


def _not_taken_for_cornerstone(dataset: Dataset) -> bool:
    return not any(
        str(item.get("TextValue", "")).startswith("Cornerstone")
        for item in content_items(dataset)
        if concept(item) == TRACKING_IDENTIFIER
    )


def _has_containers(dataset: Dataset) -> bool:
    names = {concept(item) for item in dataset.get("ContentSequence", ())}
    needed = {IMAGING_MEASUREMENTS} | ({IMAGE_LIBRARY.value} if _is_regions_document(dataset) else set())
    return needed <= names


def _marked_as_research(dataset: Dataset) -> bool:
    return any(item.get("TextValue") in PHRASES["research"] for item in dataset.get("ContentSequence", ()))


def _eight_bit_colour(dataset: Dataset) -> bool:
    """As every workstation shows it."""
    needed = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    return all(dataset.get(keyword) == value for keyword, value in (needed | depth).items())


def _burned_in_and_derived(dataset: Dataset) -> bool:
    derived = dataset.get("ImageType", [""])[0] == "DERIVED" and bool(dataset.get("SourceImageSequence"))
    return dataset.get("BurnedInAnnotation") == "YES" and derived


def _outlines_original_source(dataset: Dataset) -> bool:
    return all(
        any(concept(child) == ORIGINAL_SOURCE.value for child in item.get("ContentSequence", ()))
        for item in content_items(dataset)
        if item.get("ValueType") == "SCOORD"
    )


def _selects_images(dataset: Dataset) -> bool:
    return any(item.get("ValueType") == "IMAGE" for item in content_items(dataset))


def _float_pixels(dataset: Dataset) -> bool:
    return "FloatPixelData" in dataset and "PixelData" not in dataset


def _two_values(dataset: Dataset) -> bool:
    """BINARY, or FRACTIONAL with nothing between 0 and its maximum, which viewers take as binary."""
    if dataset.get("SegmentationType") == "BINARY":
        return True
    size = math.prod(
        int(dataset.get(keyword, 0)) for keyword in ("NumberOfFrames", "Rows", "Columns")
    )  # then a pad byte
    counts = np.bincount(np.frombuffer(dataset.get("PixelData") or b"", np.uint8)[:size], minlength=256)
    counts[[0, int(dataset.get("MaximumFractionalValue", 0))]] = 0
    return dataset.get("SegmentationType") == "FRACTIONAL" and not counts.any()


def _frames_of_whole_bytes(dataset: Dataset) -> bool:
    """Servers hand frames out singly, and their bits run on from frame to frame (PS3.5 8.1.1)."""
    bits = int(dataset.get("Rows", 0)) * int(dataset.get("Columns", 0)) * int(dataset.get("BitsAllocated", 1))
    return bits % 8 == 0 or int(dataset.get("NumberOfFrames", 1)) == 1


def _is_pdf(dataset: Dataset) -> bool:
    content = bytes(dataset.get("EncapsulatedDocument") or b"")
    return dataset.get("MIMETypeOfEncapsulatedDocument") == "application/pdf" and content.startswith(b"%PDF-")


_EVERY = (
    (_of_a_kind, "It is of no class that we send."),
    (_all_uids_valid, "A UID in it is not valid."),
    (_has_our_equipment, "Contributing Equipment Sequence does not say which algorithm made it."),
    (_equipment_agrees, "It names its maker, model, versions or Device UID in two ways."),
    (lambda ds: ds.get("ContentQualification") == "RESEARCH", "It is not marked as research."),
)
_SEGMENTATION = (
    (_two_values, "OHIF draws no SEG with values between 0 and the maximum."),
    (_frames_of_whole_bytes, "Of a BINARY SEG whose frames do not end with a byte OHIF draws scattered pixels."),
    (lambda ds: bool(ds.get("ReferencedSeriesSequence")), "OHIF lists no SEG without Referenced Series Sequence."),
    (_has_plane, "OHIF draws no SEG without a plane orientation."),
    (_has_measures, "OHIF's page dies on a SEG without pixel measures."),
    (_has_derivation, "Weasis draws no SEG without Derivation Image Sequence."),
    (_knows_patient_orientation, "A radiograph's SEG needs Patient Orientation, empty where unknown."),
    (_segments_tracked, "A segment lacks its tracking identifiers."),
    (_segments_automatic, "A segment does not say that an algorithm made it, and which."),
)
_REPORT = (
    (_groups_have_outlines, "OHIF crashes on a document titled 126000 with a group without coordinates."),
    (_outlines_closed, "An outline is no closed POLYLINE."),
    (_numbers_without_coordinates, "OHIF shows its own area, not our probability, of a number with coordinates."),
    (_groups_tracked, "OHIF needs a tracking identifier and UID in every group."),
    (_not_taken_for_cornerstone, "OHIF shows its own area, not our probability, of a Cornerstone tracking identifier."),
    (_has_containers, "OHIF needs the imaging measurements, and beside regions the image library."),
    (evidence_complete, "The evidence must name each instance that is referred to, once."),
    (_marked_as_research, "It does not say that this is research software."),
)
_PICTURE = (
    (_eight_bit_colour, "Workstations show a capture only in 8 bit RGB with Planar Configuration 0."),
    (_burned_in_and_derived, "A capture must say that something is burned in, and what it was derived from."),
    (lambda ds: "Laterality" in ds, "dciodvfy and some archives miss Laterality, empty where unknown."),
)

RULES = tuple(
    Requirement(sop_class_uid, met, reason)
    for sop_class_uid, rules in (
        ("", _EVERY),
        (SegmentationStorage, _SEGMENTATION),
        (Comprehensive3DSRStorage, _REPORT),
        (ComprehensiveSRStorage, _REPORT),
        (
            ComprehensiveSRStorage,
            ((_outlines_original_source, "Stone draws an outline only where Original Source is named."),),
        ),
        (BasicTextSRStorage, ((_marked_as_research, "It does not say that this is research software."),)),
        (SecondaryCaptureImageStorage, _PICTURE),
        (KeyObjectSelectionDocumentStorage, ((_selects_images, "A selection of key objects selects no image."),)),
        (
            GrayscaleSoftcopyPresentationStateStorage,
            ((lambda ds: bool(ds.get("GraphicAnnotationSequence")), "A presentation state draws nothing."),),
        ),
        (
            ParametricMapStorage,
            ((_float_pixels, "OHIF draws a parametric map wrongly whose values are not floating point."),),
        ),
        (EncapsulatedPDFStorage, ((_is_pdf, "What it encapsulates is no PDF."),)),
    )
    for met, reason in rules
)
