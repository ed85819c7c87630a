"""The two documents once more as Comprehensive SR, for peers that do not take Comprehensive 3D SR (or draw only these).

They hold no 3D coordinates, so the content is the same but for one code: Orthanc's Stone draws an outline only where
the image under it is named as Original Source.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ComprehensiveSRStorage

from workers.dicom import codes
from workers.dicom.references import Predecessor, predecessor_references
from workers.dicom.uids import Context
from workers.gate.rules import nodes

SERIES_STEP = 10  # the plain document of series 9102 has number 9112


def comprehensive(
    documents: Sequence[Dataset], kind: str, context: Context, predecessors: Sequence[Predecessor] = ()
) -> tuple[Dataset, ...]:
    """The same documents as Comprehensive SR, under UIDs of their own.

    Parameters
    ----------
    kind
        What they are filed as, part of their UIDs.
    predecessors
        The documents of the older generation. Those that are made again are no predecessors.
    """
    made = tuple(_as_class(document, ComprehensiveSRStorage, kind, context) for document in documents)
    again = {document.SOPInstanceUID for document in made}
    replaced = [one for one in predecessors if one.sop_instance_uid not in again]
    for document in made if replaced else ():
        document.PredecessorDocumentsSequence = [predecessor_references(document.StudyInstanceUID, replaced)]
    return made


def _as_class(document: Dataset, sop_class: UID, kind: str, context: Context) -> Dataset:
    plain = copied(document)
    origin = str(document.SOPInstanceUID)
    plain.SOPClassUID = plain.file_meta.MediaStorageSOPClassUID = sop_class
    plain.SOPInstanceUID = context.uid(f"{kind}/instance", origin)
    plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID
    plain.SeriesInstanceUID = context.uid(f"{kind}/series", origin)
    plain.SeriesNumber = int(document.SeriesNumber) + SERIES_STEP
    plain.pop("PredecessorDocumentsSequence", None)
    for item in nodes(plain):
        if item.ValueType == "SCOORD":
            for image in item.ContentSequence:
                image.ConceptNameCodeSequence = [codes.coded(codes.ORIGINAL_SOURCE)]
    return plain


def copied(dataset: Dataset) -> Dataset:
    """As anyone else reads it: an object of pydicom alone, sharing nothing."""
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        return dcmread(buffer)
