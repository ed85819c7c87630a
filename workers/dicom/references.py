"""References from our objects to the images that they were made from, and to the documents that they replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from workers.dicom import codes


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
