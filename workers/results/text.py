"""The report in sentences as Basic Text SR (PS3.3 A.35.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from workers.dicom import codes
from workers.dicom.evidence import prepared
from workers.dicom.references import name_predecessors
from workers.findings import equipment, statement, wording
from workers.findings.analysed import AnalysedStudy
from workers.results.plain import copied
from workers.results.registry import series_number


class Sections(NamedTuple):
    """The report's sentences: research use and maker, the findings by organ, then limits and images."""

    opening: tuple[str, ...]
    findings: tuple[str, ...]
    closing: tuple[str, ...]


def sections(study: AnalysedStudy, language: str) -> Sections:
    """The whole report in one language."""
    opening = (wording.phrase("research", language), wording.made_by(study.context, language))
    by_organ = [(finding, [region for region, _ in regions]) for finding, regions in study.merged]
    return Sections(opening, wording.report(by_organ, study.context, language), statement.closing(study))


def text_reports(study: AnalysedStudy) -> tuple[Dataset]:
    """A document of sentences, in the language of the context."""
    context, headers, uids = study.context, study.headers, study.reported_uids
    document = hd.sr.ComprehensiveSR(
        evidence=[prepared(headers[0]), *headers[1:]],
        content=_content(study),
        series_instance_uid=context.uid("report-text/series", *uids),
        series_number=series_number("report-text"),
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
    name_predecessors([dataset], study.predecessors_of("report-text"))
    equipment.sign(dataset, context)
    return (dataset,)


def _content(study: AnalysedStudy) -> Any:
    context = study.context
    opening, found, closing = sections(study, context.language)
    root = hd.sr.ContainerContentItem(codes.coded(codes.STATEMENT_TITLE))
    section = hd.sr.ContainerContentItem(
        codes.coded(codes.FINDINGS_SECTION), relationship_type="CONTAINS", is_content_continuous=False
    )
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
    return root


def _text(name: Any, sentence: str) -> Any:
    return hd.sr.TextContentItem(codes.coded(name), sentence, relationship_type="CONTAINS")
