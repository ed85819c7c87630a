"""References from our objects to the images that they were made from, and to the documents that they replace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.multival import MultiValue

from workers.dicom import codes

# Where instances are listed and a frame has no place: PS3.3 C.12.2, C.24.2 and C.17.2.
_OF_INSTANCES = frozenset({"ReferencedInstanceSequence", "SourceInstanceSequence"})
_EVIDENCE = ("ReferencedSOPSequence", "ReferencedSeriesSequence")


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A document of ours, in the same study, that a new one replaces (Predecessor Documents Sequence, PS3.3 C.17.2)."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def name_predecessors(documents: Sequence[Dataset], predecessors: Sequence[Predecessor]) -> None:
    """Write into each new document, in place, which older ones it replaces; those that are made again are none."""
    again = {document.SOPInstanceUID for document in documents}
    replaced = [one for one in predecessors if one.sop_instance_uid not in again]
    for document in documents if replaced else ():
        document.PredecessorDocumentsSequence = [_references(document.StudyInstanceUID, replaced)]


def _references(study_instance_uid: str, documents: Sequence[Predecessor]) -> Dataset:
    """PS3.3 Table C.17-3: study, series, instances."""
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for document in documents:
        series, instance = Dataset(), Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = (
            document.sop_class_uid,
            document.sop_instance_uid,
        )
        series.SeriesInstanceUID = document.series_instance_uid
        series.ReferencedSOPSequence = [instance]
        study.ReferencedSeriesSequence.append(series)
    return study


def name_frames(dataset: Dataset, headers: Iterable[Dataset]) -> None:
    """Put instance and Referenced Frame Number wherever a result refers to a frame of an enhanced CT, in place.

    Parameters
    ----------
    headers
        Of all that was analysed, frames as `workers.inputs.frames` makes their headers.
    """
    known = {str(one.SOPInstanceUID): one for one in headers if "ReferencedFrameNumber" in one}
    if known:
        _name_frames(dataset, known)


def _name_frames(dataset: Dataset, frames: Mapping[str, Dataset], parent: str = "") -> None:
    for element in dataset:
        if element.VR != "SQ":
            continue
        merged: dict[str, Dataset] = {}
        for item in element.value:
            if (frame := frames.get(str(item.get("ReferencedSOPInstanceUID", "")))) is not None:
                with_number = element.keyword not in _OF_INSTANCES and (element.keyword, parent) != _EVIDENCE
                _refer(merged.setdefault(str(frame.ReferencedSOPInstanceUID), item), frame, with_number=with_number)
            else:
                _name_frames(item, frames, element.keyword)
                merged[str(len(merged))] = item
        if len(merged) < len(element.value):
            element.value = list(merged.values())


def _refer(item: Dataset, frame: Dataset, *, with_number: bool) -> None:
    """To the frame's instance, and to the frame beside those that the item names already, in place."""
    named = item.get("ReferencedFrameNumber") or []
    numbers = [*named] if isinstance(named, MultiValue | list) else [named]
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        frame.ReferencedSOPClassUID,
        frame.ReferencedSOPInstanceUID,
    )
    if with_number:
        item.ReferencedFrameNumber = [*numbers, frame.ReferencedFrameNumber]


def sop_reference(header: Dataset) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def source_image_reference(header: Dataset) -> Dataset:
    """Item of the Source Image Sequence (0008,2112), PS3.3 C.12.4; purpose of CID 7202."""
    item = sop_reference(header)
    item.PurposeOfReferenceCodeSequence = [codes.coded(codes.SOURCE_IMAGE)]
    return item
