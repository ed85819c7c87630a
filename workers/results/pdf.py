"""The report in sentences as Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from io import BytesIO

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.attributes import text
from workers.dicom.evidence import prepared
from workers.dicom.references import sop_reference
from workers.dicom.uids import Context
from workers.findings import equipment, wording
from workers.findings.analysed import AnalysedStudy
from workers.results.fonts import drawable_language, font_file
from workers.results.registry import series_number
from workers.results.text import sections

LINES_A_PAGE, LETTERS_A_LINE = 52, 92


def pdf_reports(study: AnalysedStudy) -> tuple[Dataset]:
    """The same sentences as pages to print; in English where the font has no characters of the language."""
    context, headers, uids = study.context, study.headers, study.reported_uids
    language = drawable_language(context.font, context.language)
    dataset = _of_patient(prepared(headers[0]))
    dataset.SOPClassUID, dataset.Modality = EncapsulatedPDFStorage, "DOC"
    dataset.SOPInstanceUID = context.uid("report-pdf/instance", *uids)
    dataset.SeriesInstanceUID = context.uid("report-pdf/series", *uids)
    dataset.SeriesNumber, dataset.InstanceNumber = series_number("report-pdf"), 1
    dataset.SeriesDescription = equipment.series_description(context, "report")
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "YES"
    dataset.AcquisitionDateTime = None
    dataset.DocumentTitle = f"{wording.phrase('report', 'en')}: {wording.phrase('research use', 'en')}"
    dataset.ConceptNameCodeSequence = [codes.coded(codes.STATEMENT_TITLE)]
    dataset.SourceInstanceSequence = [sop_reference(header) for header in headers]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    every = ((_patient_and_study(headers[0], language),), *sections(study, language))
    lines = [line for section in every for line in (*section, "")]
    content = _pdf(lines, context, language)
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    equipment.sign(dataset, context)
    return (dataset,)


def _patient_and_study(header: Dataset, language: str) -> str:
    """A printed page must name patient and study; by numbers, which every font can draw."""
    keywords = {"patient": "PatientID", "accession": "AccessionNumber", "date": "StudyDate"}
    values = {name: text(header, keyword).encode("ascii", "replace").decode() for name, keyword in keywords.items()}
    return wording.phrase("study", language, **{name: value or "-" for name, value in values.items()})


def _of_patient(header: Dataset) -> Dataset:
    """Patient and General Study modules of the source, and the character set that they are written in."""
    dataset = Dataset()
    for keyword in (
        "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "PatientAge", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
        "ReferringPhysicianName", "StudyDescription",
    ):  # fmt: skip
        if keyword in header:
            dataset.add(header[keyword])
    return dataset


def _pdf(lines: Sequence[str], context: Context, language: str) -> bytes:
    """A4 pages of text; the same lines give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and seldom needed
    from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415

    font = FontProperties(fname=str(font_file(context.font)))
    wrapped = [part for line in lines for part in _wrapped(line, language)]
    about = {
        "Title": wording.phrase("report", "en"),
        "Creator": "ReadFirst",
        "CreationDate": context.now,
        "Producer": None,
    }
    with BytesIO() as buffer, mpl.rc_context({"pdf.fonttype": 42}):
        with PdfPages(buffer, metadata=about) as pages:
            for start in range(0, len(wrapped), LINES_A_PAGE):
                page = Figure(figsize=(8.27, 11.69))
                for row, line in enumerate(wrapped[start : start + LINES_A_PAGE]):
                    page.text(0.08, 0.94 - row * 0.0168, line, fontproperties=font, size=9, parse_math=False)
                pages.savefig(page)
        return buffer.getvalue()


def _wrapped(line: str, language: str) -> Iterator[str]:
    """Chinese characters are twice as wide, and lines of them break anywhere."""
    width = LETTERS_A_LINE // 2 if language == "zh" else LETTERS_A_LINE
    yield from textwrap.wrap(line, width) or [""]
