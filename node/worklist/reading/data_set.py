"""The reading work item of a study: what its Data Set holds when the study is complete. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, Sequence

from node.settings import Policy
from node.worklist.items.attributes import REQUIREMENTS
from node.worklist.items.json_model import Json, code, items, put, tag_of, text
from node.worklist.items.moments import date_time
from node.worklist.items.priority import BEFORE_ANALYSIS
from node.worklist.items.states import State

INTERPRETATION = ("110005", "DCM", "Interpretation")  # CID 9231
_NAMESPACE = uuid.UUID("5d0a9f3e-2f0f-5c66-9a43-6b7c0b0f4f9d")  # ours, for UIDs of work items
_MARK = "ReadFirst: "  # begins each line of Comments on the Scheduled Procedure Step that is ours

_LONGEST = {"LO": 64, "SH": 16, "PN": 64}  # characters, PS3.5 6.2
_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "AdmissionID", "AdmittingDiagnosesDescription")
PATIENT = (*_PATIENT, "PatientBirthDate", "PatientSex")
_REQUEST = ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription")
_HEADER = (*PATIENT, *_REQUEST, "StudyDescription", "BodyPartExamined", "Modality")
HEADER_TAGS = frozenset(int(tag_of(keyword), 16) for keyword in (*_HEADER, "RequestAttributesSequence"))
"""What a work item takes of a header."""


@dataclass(frozen=True, slots=True)
class Station:
    """The values of this node in work items.

    `retrieve_ae_title` is where the images can be retrieved (the PACS); empty: the sender of each study. `policy` has
    the head starts of the list's order.
    """

    retrieve_ae_title: str = ""
    worklist_label: str = "READFIRST reading"
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that the reader is to look at."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def header_values(header: Dataset) -> Json:
    """What a work item takes of a header, each value without what the ledger could not keep."""
    values, request = _values(header, _HEADER), _values(_first_request(header), _REQUEST)
    if request:
        put(values, "RequestAttributesSequence", request)
    return values


def _values(header: Dataset, keywords: Iterable[str]) -> Json:
    values: Json = {}
    for keyword in keywords:
        if value := _string(header, keyword):
            put(values, keyword, value)
    return values


def _first_request(header: Dataset) -> Dataset:
    requests = header.get("RequestAttributesSequence")
    return requests[0] if isinstance(requests, Sequence) and requests else Dataset()


def reading_uid(study_instance_uid: str) -> str:
    """SOP Instance UID of the study's reading work item: always the same (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, study_instance_uid).int}"


def reading_attributes(study_instance_uid: str, header: Dataset, station: Station, now: float) -> Json:
    """The Data Set of a new reading work item: every Type 1 and 2 attribute of Table CC.2.5-3.

    Input Information Sequence is left out: it is made of the instances that are known at each N-GET or C-FIND. Which
    station will read is not known, so those Sequences are empty.

    Parameters
    ----------
    header
        Any instance of the study; its values are taken where they are valid, else the attribute is empty.
    """
    attributes: Json = {}
    for requirement in REQUIREMENTS:
        if requirement.create in "12C0" and requirement.keyword not in ("TransactionUID", "InputInformationSequence"):
            put(attributes, requirement.keyword)
    for keyword in _PATIENT:
        put(attributes, keyword, _string(header, keyword))
    put(attributes, "PatientBirthDate", _matching(header, "PatientBirthDate", r"\d{8}"))
    put(attributes, "PatientSex", _matching(header, "PatientSex", r"[MFO]"))
    put(attributes, "ProcedureStepLabel", _label(header))
    put(attributes, "WorklistLabel", station.worklist_label)
    put(attributes, "ScheduledProcedureStepPriority", BEFORE_ANALYSIS.value)
    put(attributes, "ScheduledProcedureStepStartDateTime", date_time(now))
    put(attributes, "ScheduledWorkitemCodeSequence", code(*INTERPRETATION))
    put(attributes, "InputReadinessState", "READY")
    put(attributes, "StudyInstanceUID", study_instance_uid)
    put(attributes, "ReferencedRequestSequence", _request(study_instance_uid, header))
    put(attributes, "ProcedureStepState", State.SCHEDULED.value)
    return attributes


def is_reading(attributes: Json) -> bool:
    """Whether the work item is for a person to interpret images, whoever made it."""
    value, scheme, _ = INTERPRETATION
    codes = items(attributes, "ScheduledWorkitemCodeSequence")
    return any((text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) == (value, scheme) for item in codes)


def remark(comments: str, sentence: str) -> str:
    """Comments on the Scheduled Procedure Step (0040,0400) with our line replaced; others' lines stay."""
    others = [line for line in comments.splitlines() if line.strip() and not line.startswith(_MARK)]
    room = 10240 - sum(len(line) + 2 for line in others)  # LT, PS3.5 6.2
    return "\r\n".join([*others, f"{_MARK}{sentence}"[: max(room, 0)]]).strip()


def input_information(references: Iterable[Reference], retrieve_ae_title: str) -> tuple[Json, ...]:
    """Items of the Input Information Sequence, one a series (PS3.4 Table CC.2.5-2c)."""
    series: dict[tuple[str, str], list[Json]] = {}
    for reference in references:
        instance: Json = {}
        put(instance, "ReferencedSOPClassUID", reference.sop_class_uid)
        put(instance, "ReferencedSOPInstanceUID", reference.sop_instance_uid)
        series.setdefault((reference.study_instance_uid, reference.series_instance_uid), []).append(instance)
    return tuple(_series(study, uid, instances, retrieve_ae_title) for (study, uid), instances in series.items())


def _series(study: str, series: str, instances: list[Json], retrieve_ae_title: str) -> Json:
    where: Json = {}
    put(where, "RetrieveAETitle", retrieve_ae_title)
    item: Json = {}
    put(item, "TypeOfInstances", "DICOM")
    put(item, "StudyInstanceUID", study)
    put(item, "SeriesInstanceUID", series)
    put(item, "ReferencedSOPSequence", *instances)
    put(item, "DICOMRetrievalSequence", where)
    return item


def _label(header: Dataset) -> str:
    described = _string(header, "StudyDescription") or _string(header, "BodyPartExamined").capitalize()
    what = " ".join(filter(None, (_matching(header, "Modality", r"[A-Z0-9]{2,16}"), described)))
    return f"Reading: {what or 'study'}"[: _LONGEST["LO"]].strip()


def _request(study_instance_uid: str, header: Dataset) -> Json:
    first, request = _first_request(header), dict[str, Any]()
    put(request, "StudyInstanceUID", study_instance_uid)
    for keyword in _REQUEST:
        put(request, keyword, _string(header, keyword) or _string(first, keyword))
    for keyword in (
        "IssuerOfAccessionNumber",
        "OrderPlacerIdentifier",
        "OrderFillerIdentifier",
        "RequestedProcedureCode",
    ):
        put(request, f"{keyword}Sequence")
    return request


def _string(header: Dataset, keyword: str) -> str:
    """The first value without control characters, cut to what its VR allows; empty where there is none."""
    if keyword not in header or header[keyword].value is None:
        return ""
    element = header[keyword]
    first = element.value[0] if element.VM > 1 else element.value
    clean = "".join(character for character in str(first) if character.isprintable() and character != "\\")
    if element.VR == "PN":  # 64 characters a component group, PS3.5 6.2
        return "=".join(group[:64].strip() for group in clean.split("=")[:3]).rstrip("=")
    return clean[: _LONGEST.get(element.VR, 64)].strip()


def _matching(header: Dataset, keyword: str, pattern: str) -> str:
    value = _string(header, keyword)
    return value if re.fullmatch(pattern, value) else ""
