"""Conditions of PS3.3 and PS3.5 that dciodvfy does not look at, as a table: each with what is wrong where it is broken.

No reason quotes a value: reasons are logged, and values may be the patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.dicom.value_representations import EXTENDED_CHARACTERS
from workers.dicom.codes import PRIVATE
from workers.dicom.content_tree import content_items, evidence_complete
from workers.gate.rules import Requirement

_DOCUMENTS = (
    str(Comprehensive3DSRStorage),
    str(ComprehensiveSRStorage),
    str(BasicTextSRStorage),
    str(KeyObjectSelectionDocumentStorage),
)
_SEG, _CAPTURE = str(SegmentationStorage), str(SecondaryCaptureImageStorage)
_STATE, _MAP = str(GrayscaleSoftcopyPresentationStateStorage), str(ParametricMapStorage)
# Value types that a Comprehensive SR and a Basic Text SR may hold: PS3.3 A.35.3.3.1.1, A.35.1.3.1.1.
_FLAT = {
    "CONTAINER", "TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME", "COMPOSITE", "IMAGE",
    "WAVEFORM", "SCOORD", "TCOORD",
}  # fmt: skip
_PLAIN = {
    "CONTAINER", "TEXT", "CODE", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME", "COMPOSITE", "IMAGE", "WAVEFORM",
}  # fmt: skip


def _names_patient_and_study(dataset: Dataset) -> bool:
    there = all(keyword in dataset for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"))
    return there and bool(dataset.get("StudyInstanceUID")) and bool(dataset.get("SeriesInstanceUID"))


def _declares_its_characters(dataset: Dataset) -> bool:
    texts = (str(element.value) for element in dataset.iterall() if element.VR in EXTENDED_CHARACTERS and element.value)
    return bool(dataset.get("SpecificCharacterSet")) or all(text.isascii() for text in texts)


def _code_items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset.iterall():
        if element.VR == "SQ" and element.keyword.endswith("CodeSequence"):
            yield from (item for item in element.value or () if "CodingSchemeDesignator" in item)


def _codes_whole(dataset: Dataset) -> bool:
    """PS3.3 Table 8.8-1: Code Value 16 characters at most (else a Long Code Value), Code Meaning 64."""
    return all(
        0 < len(str(item.get("CodeValue") or "")) <= 16
        and bool(item.CodingSchemeDesignator)
        and 0 < len(str(item.get("CodeMeaning") or "")) <= 64
        for item in _code_items(dataset)
    )


def _our_scheme_identified(dataset: Dataset) -> bool:
    """Ours alone: to identify a scheme is optional, and a site's own (99LOCAL) is unknown to us."""
    used = {str(item.CodingSchemeDesignator) for item in _code_items(dataset)}
    identified = {str(item.CodingSchemeDesignator) for item in dataset.get("CodingSchemeIdentificationSequence", ())}
    return PRIVATE not in used or PRIVATE in identified


def _not_its_own_source(dataset: Dataset) -> bool:
    return str(dataset.SOPInstanceUID) not in {
        str(element.value) for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"
    }


def _segments_numbered(dataset: Dataset) -> bool:
    numbers = [int(one.SegmentNumber) for one in dataset.get("SegmentSequence", ())]
    drawn = {
        int(item.ReferencedSegmentNumber)
        for frame in (*dataset.get("PerFrameFunctionalGroupsSequence", ()), *dataset.SharedFunctionalGroupsSequence)
        for item in frame.get("SegmentIdentificationSequence", ())
    }
    return numbers == list(range(1, len(numbers) + 1)) and drawn == set(numbers)


def _frames_counted(dataset: Dataset) -> bool:
    frames = int(dataset.get("NumberOfFrames", 1))
    bits = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.BitsAllocated)
    pixels = dataset.get("FloatPixelData") or dataset.get("PixelData") or b""
    size = (bits * int(dataset.get("SamplesPerPixel", 1)) + 7) // 8
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    return len(pixels) in (size, size + size % 2) and (per_frame is None or len(per_frame) == frames)


def _state_of_ours(dataset: Dataset) -> bool:
    return (
        dataset.get("VerificationFlag") == "UNVERIFIED" and "VerifyingObserverSequence" not in dataset
    ) or "VerificationFlag" not in dataset


def _types_allowed(allowed: set[str]) -> Callable[[Dataset], bool]:
    return lambda dataset: all(item.get("ValueType") in allowed for item in content_items(dataset))


def _points_inside(dataset: Dataset) -> bool:
    """PS3.3 C.10.5: PIXEL coordinates are between 0\\0 and Columns\\Rows, the end of the area that is displayed."""
    area = dataset.get("DisplayedAreaSelectionSequence", ())
    right = max((int(one.DisplayedAreaBottomRightHandCorner[0]) for one in area), default=0)
    bottom = max((int(one.DisplayedAreaBottomRightHandCorner[1]) for one in area), default=0)
    return all(
        graphic.GraphicAnnotationUnits == "PIXEL"
        and min(graphic.GraphicData) >= 0
        and max(graphic.GraphicData[::2]) <= right
        and max(graphic.GraphicData[1::2]) <= bottom
        for annotation in dataset.get("GraphicAnnotationSequence", ())
        for graphic in annotation.get("GraphicObjectSequence", ())
    )


def _layers_defined(dataset: Dataset) -> bool:
    used = {str(one.GraphicLayer) for one in dataset.get("GraphicAnnotationSequence", ())}
    return used <= {str(one.GraphicLayer) for one in dataset.get("GraphicLayerSequence", ())}


def _lossy_stays_lossy(dataset: Dataset) -> bool:
    """PS3.3 C.7.6.1.1.5: "01" is the only value for lossily compressed."""
    return dataset.get("LossyImageCompression") in (None, "00", "01")


def _map_has_meaning(dataset: Dataset) -> bool:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    frames = (shared, *dataset.PerFrameFunctionalGroupsSequence)
    return bool(dataset.get("FrameOfReferenceUID")) and any("RealWorldValueMappingSequence" in one for one in frames)


CONDITIONS = (
    Requirement("", _names_patient_and_study, "It does not name patient, study and series (PS3.3 C.7.1.1, C.7.2.1)."),
    Requirement(
        "", _declares_its_characters, "It has letters beyond ASCII and no Specific Character Set (PS3.3 C.12.1.1.2)."
    ),
    Requirement("", _codes_whole, "A code in it lacks value, scheme or meaning, or they are too long (PS3.3 8.8)."),
    Requirement("", _our_scheme_identified, "Our private coding scheme is not identified (PS3.3 C.12.1.1.7)."),
    Requirement("", _not_its_own_source, "It refers to itself."),
    Requirement(_SEG, _segments_numbered, "Segments are not numbered from 1, or one is not drawn (PS3.3 C.8.20.2)."),
    *(Requirement(uid, _frames_counted, "Pixel Data is not as long as it says.") for uid in (_SEG, _CAPTURE, _MAP)),
    *(
        Requirement(uid, evidence_complete, "Evidence lacks a reference, or has it twice (PS3.3 C.17.2).")
        for uid in _DOCUMENTS[2:]
    ),
    *(Requirement(uid, _state_of_ours, "It says that someone verified it (PS3.3 C.17.2).") for uid in _DOCUMENTS),
    Requirement(
        _DOCUMENTS[1], _types_allowed(_FLAT), "It has a value type that no Comprehensive SR has (PS3.3 A.35.3)."
    ),
    Requirement(_DOCUMENTS[2], _types_allowed(_PLAIN), "It has a value type that no Basic Text SR has (PS3.3 A.35.1)."),
    Requirement(_STATE, _points_inside, "A graphic lies outside of the image (PS3.3 C.10.5)."),
    Requirement(_STATE, _layers_defined, "A graphic lies on a layer that is not defined (PS3.3 C.10.7)."),
    Requirement(_CAPTURE, _lossy_stays_lossy, "Lossy Image Compression is neither 00 nor 01 (PS3.3 C.7.6.1.1.5)."),
    Requirement(
        _MAP, _map_has_meaning, "It has no Frame of Reference, or does not say what its values mean (PS3.3 C.7.6.16)."
    ),
)
