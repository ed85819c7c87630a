"""What the two Structured Reports (TID 1500, Comprehensive 3D SR) of a package's results have in common.

OHIF crashes on a document titled (126000, DCM) when one group has no coordinates, and shows other titles as a page of
text. So the regions, each with coordinates, are one document, and the complete statement is the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.card import Code, Label
from workers.dicom import codes
from workers.dicom.attributes import items, text
from workers.dicom.evidence import prepared
from workers.dicom.sequences import whole_code
from workers.dicom.uids import Context
from workers.findings import equipment
from workers.findings.findings import Finding
from workers.inputs.eligibility import of_chest
from workers.results.registry import series_number


def document(
    kind: str, description: str, content: Any, headers: Sequence[Dataset], uids: Sequence[str], context: Context
) -> Dataset:
    """A Comprehensive 3D SR with this root.

    Parameters
    ----------
    headers
        Of all instances that were analysed: the evidence. Patient and study are taken from the first.
    uids
        SOP Instance UIDs that its own UIDs derive from.
    """
    dataset: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[prepared(headers[0]), *headers[1:]],
        content=content,
        series_instance_uid=context.uid(f"{kind}/series", *uids),
        series_number=series_number(kind),
        sop_instance_uid=context.uid(f"{kind}/instance", *uids),
        instance_number=1,
        manufacturer=equipment.MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=equipment.series_description(context, description),
    )
    equipment.sign(dataset, context)
    dataset.SeriesDate, dataset.SeriesTime = dataset.ContentDate, dataset.ContentTime  # viewers list the newest first
    return dataset


def measurement_report(
    title: Code, groups: Sequence[Any], before: Sequence[Any], header: Dataset, context: Context
) -> Any:
    """TID 1500; `before` are content items ahead of the measurements."""
    report = hd.sr.MeasurementReport(
        observation_context=equipment.device_observer(context),
        procedure_reported=codes.coded(_procedure(header)),
        imaging_measurements=groups,
        title=codes.coded(title),
    )
    root = report[0]
    measurements = root.ContentSequence.pop()
    for item in (*before, measurements):
        root.ContentSequence.append(item)
    _separate(root)
    return root


def acr_category(label: Label) -> list[Any]:
    """How soon the finding must be communicated (CID 7035), where the card names a category."""
    if not label.acr:
        return []
    name, category = codes.coded(codes.ACTIONABLE), codes.coded(codes.ACR_CATEGORIES[label.acr])
    return [hd.sr.QualitativeEvaluation(name, category)]


def likelihood(finding: Finding, context: Context, algorithm: Any = None) -> Any:
    """The finding's probability or score."""
    name = codes.likelihood(finding.label, context.card.quantity)
    return fraction(name, finding.probability, context, algorithm)


def fraction(name: Code, value: float, context: Context, algorithm: Any = None) -> Any:
    """A probability in percent, a score as it is, as in the sentences."""
    if context.card.quantity == "probability":
        return number(name, 100 * value, codes.PERCENT, algorithm)
    return number(name, value, codes.SCORE, algorithm, digits=4)


def number(name: Code, value: float, unit: Code, algorithm: Any = None, digits: int = 2) -> Any:
    """A rounded measurement; its algorithm (TID 4019) where it differs from the group's."""
    return hd.sr.Measurement(codes.coded(name), round(value, digits), codes.coded(unit), algorithm_id=algorithm)


def mean_attenuation(value: float) -> Any:
    """The mean density of a region in HU."""
    name, unit, mean = (codes.coded(one) for one in (codes.ATTENUATION, codes.HOUNSFIELD, codes.MEAN))
    return hd.sr.Measurement(name, round(value, 1), unit, derivation=mean)


def comment(sentence: str) -> Any:
    """A sentence for people."""
    return hd.sr.TextContentItem(codes.coded(codes.COMMENT), sentence, relationship_type="CONTAINS")


def _separate(item: Dataset) -> None:
    """Each value on a line of its own, with its concept's name: OHIF runs together what highdicom calls CONTINUOUS."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
        for child in item.ContentSequence:
            _separate(child)


def _procedure(header: Dataset) -> Code:
    """The study's own procedure code where it has a whole one, else what modality and body part stand for."""
    for keyword in ("ProcedureCodeSequence", "RequestedProcedureCodeSequence"):
        for item in items(header, keyword):
            if whole_code(item):
                return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))
    named = codes.PROCEDURES if of_chest(header) else {}
    return named.get(text(header, "Modality"), codes.ANY_PROCEDURE)
