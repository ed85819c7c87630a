"""The two documents once more as Comprehensive SR, for peers that do not take Comprehensive 3D SR (or draw only these).

They hold no 3D coordinates, so the content is the same but for one code: Orthanc's Stone draws an outline only where
the image under it is named as Original Source.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage

from workers.dicom import codes
from workers.dicom.content_tree import content_items
from workers.dicom.references import name_predecessors
from workers.dicom.uids import Context
from workers.findings.analysed import AnalysedStudy
from workers.results.regions import regions_documents
from workers.results.registry import series_number
from workers.results.statement import statement_documents


def plain_regions(study: AnalysedStudy) -> tuple[Dataset, ...]:
    """The regions documents."""
    return _comprehensive(study.once(regions_documents), "regions-2d", study)


def plain_statements(study: AnalysedStudy) -> tuple[Dataset, ...]:
    """The statement."""
    return _comprehensive(study.once(statement_documents), "statement-2d", study)


def _comprehensive(documents: Sequence[Dataset], kind: str, study: AnalysedStudy) -> tuple[Dataset, ...]:
    """The same documents under UIDs of their own: `kind` is part of them."""
    plain = tuple(_as_comprehensive(document, kind, study.context) for document in documents)
    name_predecessors(plain, study.predecessors_of(kind))
    return plain


def _as_comprehensive(document: Dataset, kind: str, context: Context) -> Dataset:
    plain = copied(document)
    origin = str(document.SOPInstanceUID)
    plain.SOPClassUID = plain.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    plain.SOPInstanceUID = context.uid(f"{kind}/instance", origin)
    plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID
    plain.SeriesInstanceUID = context.uid(f"{kind}/series", origin)
    plain.SeriesNumber = series_number(kind)
    plain.pop("PredecessorDocumentsSequence", None)
    for item in content_items(plain):
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
