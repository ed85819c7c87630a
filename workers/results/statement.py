"""The statement: every finding, present or absent, with images analysed and left out (TID 1500, TID 1501)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
from pydicom import Dataset

from workers.dicom import codes
from workers.dicom.references import name_predecessors
from workers.findings import equipment, statement, wording
from workers.findings.analysed import AnalysedStudy
from workers.findings.findings import Finding, Region
from workers.findings.source import Source
from workers.results import sr


def statement_documents(study: AnalysedStudy) -> tuple[Dataset]:
    """Every finding, the most probable first among the present; images analysed and left out.

    Of several sources a finding has its highest probability. It has no image library: OHIF prints each image of one as
    "[IMAGE is not supported]" before the findings; the sentences at the end name the images for people, the evidence
    for programs.
    """
    context, headers = study.context, study.headers
    groups = [_finding_group(finding, regions, study) for finding, regions in study.merged if finding.label.finding]
    before = [sr.comment(sentence) for sentence in _sentences(study)]
    content = sr.measurement_report(codes.STATEMENT_TITLE, groups, before, headers[0], context)
    for sentence in statement.closing(study):
        content.ContentSequence.append(sr.comment(sentence))
    dataset = sr.document("statement", "all findings", content, headers, study.reported_uids, context)
    name_predecessors([dataset], study.predecessors_of("statement"))
    return (dataset,)


def _sentences(study: AnalysedStudy) -> tuple[str, ...]:
    """In English, as the document declares (TID 1204), whatever language its readers have."""
    context = study.context
    findings = [finding for finding, _ in study.merged]
    by_organ = [(finding, [region for region, _ in regions]) for finding, regions in study.merged]
    summary = statement.summary(findings, context.card.quantity)
    return statement.opening(context) + summary + wording.report(by_organ, context, "en")


def _finding_group(finding: Finding, regions: Sequence[tuple[Region, Source]], study: AnalysedStudy) -> Any:
    """TID 1501: one finding of the whole study, coded, and once more as a sentence that reads alone."""
    label, context = finding.label, study.context
    tracking_uid = context.uid(f"tracking/{label.name}", *study.sop_instance_uids)
    presence = codes.PRESENT if finding.present else codes.ABSENT
    threshold = sr.fraction(codes.THRESHOLD, finding.threshold, context)
    if finding.grade:
        threshold = sr.fraction(codes.AT_LEAST, finding.grade.at_least, context)
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(tracking_uid, label.title),
        finding_type=codes.coded(label.code),
        finding_sites=[hd.sr.FindingSite(codes.coded(label.site))],
        measurements=[sr.likelihood(finding, context, equipment.algorithm(context)), threshold],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(codes.coded(codes.PRESENCE), codes.coded(presence)),
            *(sr.acr_category(label) if finding.present else []),
        ],
    )
    sentence = statement.finding_sentences(finding, regions, context.card, len(study.sources) > 1)
    group[0].ContentSequence.insert(0, sr.comment(sentence))
    return group
