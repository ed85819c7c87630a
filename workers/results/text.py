"""The report in words alone: as Basic Text SR (PS3.3 A.35.1) and as Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.attributes import text
from workers.dicom.evidence import prepared
from workers.dicom.references import Predecessor, predecessor_references, sop_reference
from workers.dicom.uids import Context
from workers.findings import equipment, statement, wording
from workers.findings.findings import Region, Source, source_headers, source_uids
from workers.results.fonts import drawable_language, font_file
from workers.results.plain import copied
from workers.results.sr import FindingsOfSources, merge

TEXT_SERIES, PDF_SERIES = 9108, 9109
LINES_A_PAGE, LETTERS_A_LINE = 52, 92
LeftOut = Sequence[tuple[str, str]]


def text_report(
    findings: FindingsOfSources,
    sources: Sequence[Source],
    context: Context,
    left_out: LeftOut,
    predecessors: Sequence[Predecessor] = (),
) -> Dataset:
    """A document of sentences: what it is not for, who made it, the findings by organ, then limits and images."""
    opening, found, closing = _sections(findings, sources, context, left_out, context.language)
    root = hd.sr.ContainerContentItem(codes.coded(codes.STATEMENT_TITLE))
    section = _container(codes.FINDINGS_SECTION)
    section.ContentSequence = hd.sr.ContentSequence([_text(codes.FINDING, line) for line in found])
    root.ContentSequence = hd.sr.ContentSequence(
        [
            hd.sr.CodeContentItem(
                codes.coded(codes.LANGUAGE),
                codes.coded(codes.LANGUAGES[context.language]),
                relationship_type="HAS CONCEPT MOD",
            ),
            *equipment.device_context(context),
            *(_text(codes.COMMENT, line) for line in opening),
            section,
            *(_text(codes.COMMENT, line) for line in closing),
        ]
    )
    headers = [header for source in sources for header in source_headers(source)]
    uids = _made_from(sources, left_out)
    document = hd.sr.ComprehensiveSR(
        evidence=[prepared(headers[0]), *headers[1:]],
        content=root,
        series_instance_uid=context.uid("report-text/series", *uids),
        series_number=TEXT_SERIES,
        sop_instance_uid=context.uid("report-text/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, "report"),
    )
    dataset = copied(document)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    replaced = [one for one in predecessors if one.sop_instance_uid != dataset.SOPInstanceUID]
    if replaced:
        dataset.PredecessorDocumentsSequence = [predecessor_references(dataset.StudyInstanceUID, replaced)]
    equipment.sign(dataset, context)
    return dataset


def pdf_report(findings: FindingsOfSources, sources: Sequence[Source], context: Context, left_out: LeftOut) -> Dataset:
    """The same sentences as pages to print; in English where the font has no characters of the language."""
    language = drawable_language(context.font, context.language)
    headers = [header for source in sources for header in source_headers(source)]
    uids = _made_from(sources, left_out)
    dataset = _of_patient(prepared(headers[0]))
    dataset.SOPClassUID, dataset.Modality = EncapsulatedPDFStorage, "DOC"
    dataset.SOPInstanceUID = context.uid("report-pdf/instance", *uids)
    dataset.SeriesInstanceUID = context.uid("report-pdf/series", *uids)
    dataset.SeriesNumber, dataset.InstanceNumber = PDF_SERIES, 1
    dataset.SeriesDescription = equipment.series_description(context, "report")
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "YES"
    dataset.AcquisitionDateTime = None
    dataset.DocumentTitle = f"{wording.say('report', 'en')}: {wording.say('research use', 'en')}"
    dataset.ConceptNameCodeSequence = [codes.coded(codes.STATEMENT_TITLE)]
    dataset.SourceInstanceSequence = [sop_reference(header) for header in headers]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    sections = _sections(findings, sources, context, left_out, language)
    lines = [line for section in ((_whose(headers[0], language),), *sections) for line in (*section, "")]
    content = _pdf(lines, context, language)
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    equipment.sign(dataset, context)
    return dataset


def _made_from(sources: Sequence[Source], left_out: LeftOut) -> list[str]:
    """All that the sentences speak of: with another instance left out it is another document."""
    return [
        *(uid for source in sources for uid in source_uids(source)),
        *(uid for uid, _ in statement.unseen(sources, left_out)),
    ]


def _sections(
    findings: FindingsOfSources, sources: Sequence[Source], context: Context, left_out: LeftOut, language: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    merged = merge(findings, sources)
    opening = (wording.say("research", language), wording.made_by(context, language))
    regions: list[list[Region]] = [[region for region, _ in found] for _, found in merged]
    found = wording.report(
        [(finding, own) for (finding, _), own in zip(merged, regions, strict=True)], context, language
    )  # fmt: skip
    return opening, found, statement.closing(context, sources, statement.unseen(sources, left_out))


def _whose(header: Dataset, language: str) -> str:
    """A page that is printed must say whose it is; by numbers, which every font can draw."""
    keywords = {"patient": "PatientID", "accession": "AccessionNumber", "date": "StudyDate"}
    values = {name: text(header, keyword).encode("ascii", "replace").decode() for name, keyword in keywords.items()}
    return wording.say("study", language, **{name: value or "-" for name, value in values.items()})


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


def _container(name: Any) -> Any:
    return hd.sr.ContainerContentItem(codes.coded(name), relationship_type="CONTAINS", is_content_continuous=False)


def _text(name: Any, sentence: str) -> Any:
    return hd.sr.TextContentItem(codes.coded(name), sentence, relationship_type="CONTAINS")


def _pdf(lines: Sequence[str], context: Context, language: str) -> bytes:
    """A4 pages of text; the same lines give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and seldom wished for
    from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415

    font = FontProperties(fname=str(font_file(context.font)))
    wrapped = [part for line in lines for part in _wrapped(line, language)]
    about = {
        "Title": wording.say("report", "en"),
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
