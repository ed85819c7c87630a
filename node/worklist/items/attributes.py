"""Which attributes a Unified Procedure Step may and must hold, and when (PS3.4 Table CC.2.5-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.worklist.items.json_model import Json, has_value, items, keyword_of, put, tag_of, text
from node.worklist.items.priority import Priority
from node.worklist.items.states import State
from node.worklist.items.statuses import Status, UpsRefused


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of Table CC.2.5-3.

    create: "1" must have a value, "2" may be empty, "C" is conditional (empty where absent), "3" may be absent,
    "0" must be empty, "-" not allowed, "S" the SCP's own (a peer's value is replaced). modify (N-SET): "1" not
    without a value, "2" may be emptied, "-" not allowed, "S" as before. final: R, P (for COMPLETED), X (for CANCELED)
    or O; lower case "p": must be there for COMPLETED but may have no Items. A "1" in an Item holds where the Item is.
    """

    keyword: str
    create: str
    modify: str
    final: str = "O"
    items: tuple[Requirement, ...] = ()


_REFERENCES = (  # Table CC.2.5-2c
    Requirement("TypeOfInstances", "1", "1"),
    Requirement("ReferencedSOPSequence", "1", "1", "O", (
        Requirement("ReferencedSOPClassUID", "1", "1"),
        Requirement("ReferencedSOPInstanceUID", "1", "1"),
    )),
)  # fmt: skip
_PERFORMER = (Requirement("HumanPerformerCodeSequence", "1", "1"),)
_REQUEST = (
    Requirement("StudyInstanceUID", "1", "-"),
    Requirement("AccessionNumber", "2", "-"),
    Requirement("IssuerOfAccessionNumberSequence", "2", "-"),
    Requirement("OrderPlacerIdentifierSequence", "2", "-"),
    Requirement("OrderFillerIdentifierSequence", "2", "-"),
    Requirement("RequestedProcedureID", "2", "-"),
    Requirement("RequestedProcedureDescription", "2", "-"),
    Requirement("RequestedProcedureCodeSequence", "2", "-"),
)
_PROGRESS = (
    Requirement("ProcedureStepCancellationDateTime", "-", "1", "O"),  # X, but the SCP fills it in itself
    Requirement("ProcedureStepDiscontinuationReasonCodeSequence", "-", "1", "X"),
)
_PERFORMED = (
    Requirement("PerformedStationNameCodeSequence", "-", "2", "P"),
    Requirement("PerformedProcedureStepStartDateTime", "-", "1", "P"),
    Requirement("PerformedWorkitemCodeSequence", "-", "1", "P"),
    Requirement("PerformedProcedureStepEndDateTime", "-", "1", "P"),
    Requirement("OutputInformationSequence", "-", "2", "p", _REFERENCES),
)

REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("TransactionUID", "0", "S"),
    Requirement("SOPClassUID", "S", "-", "R"),
    Requirement("SOPInstanceUID", "-", "-", "R"),
    Requirement("ScheduledProcedureStepPriority", "1", "1", "R"),
    Requirement("ScheduledProcedureStepModificationDateTime", "S", "S", "R"),
    Requirement("ProcedureStepLabel", "1", "1"),
    Requirement("WorklistLabel", "2", "1"),
    Requirement("ScheduledProcessingParametersSequence", "2", "2"),
    Requirement("ScheduledStationNameCodeSequence", "2", "2"),
    Requirement("ScheduledStationClassCodeSequence", "2", "2"),
    Requirement("ScheduledStationGeographicLocationCodeSequence", "2", "2"),
    Requirement("ScheduledHumanPerformersSequence", "3", "2", "O", _PERFORMER),
    Requirement("ScheduledProcedureStepStartDateTime", "1", "1", "R"),
    Requirement("ExpectedCompletionDateTime", "3", "1"),
    Requirement("ScheduledWorkitemCodeSequence", "2", "1"),
    Requirement("CommentsOnTheScheduledProcedureStep", "2", "1"),
    Requirement("InputReadinessState", "1", "1", "R"),
    Requirement("InputInformationSequence", "2", "2", "O", _REFERENCES),
    Requirement("StudyInstanceUID", "C", "2"),
    Requirement("PatientName", "2", "-"),
    Requirement("PatientID", "C", "-"),
    Requirement("IssuerOfPatientID", "2", "-"),
    Requirement("IssuerOfPatientIDQualifiersSequence", "2", "-"),
    Requirement("OtherPatientIDsSequence", "2", "2"),
    Requirement("PatientBirthDate", "2", "-"),
    Requirement("PatientSex", "2", "-"),
    Requirement("AdmissionID", "2", "-"),
    Requirement("IssuerOfAdmissionIDSequence", "2", "-"),
    Requirement("AdmittingDiagnosesDescription", "2", "-"),
    Requirement("AdmittingDiagnosesCodeSequence", "2", "-"),
    Requirement("ReferencedRequestSequence", "2", "-", "O", _REQUEST),
    Requirement("ReplacedProcedureStepSequence", "3", "-"),
    Requirement("ProcedureStepState", "1", "-", "R"),
    Requirement("ProcedureStepProgressInformationSequence", "0", "2", "X", _PROGRESS),
    Requirement("UnifiedProcedureStepPerformedProcedureSequence", "0", "2", "P", _PERFORMED),
)

_ENUMERATED = {  # PS3.3 C.30.1, C.30.2
    "ScheduledProcedureStepPriority": tuple(Priority),
    "InputReadinessState": ("READY", "UNAVAILABLE", "INCOMPLETE"),
}
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")  # PS3.3 8.8: one of them


def check_creation(given: Json, worklist_label: str) -> tuple[Json, tuple[str, ...]]:
    """What an N-CREATE makes of the peer's Attribute List, and the keywords that were filled in for it.

    Missing or empty Type 1 attributes are refused; missing Type 2 attributes are added with zero length.

    Raises
    ------
    UpsRefused
        0x0120, 0x0121, 0x0106 with the attribute, or 0xC309.
    """
    attributes, filled = _conform(given, REQUIREMENTS)
    if text(attributes, "ProcedureStepState") != State.SCHEDULED:
        raise UpsRefused(Status.NOT_SCHEDULED)
    _check_values(attributes)
    if not has_value(attributes, "WorklistLabel"):
        put(attributes, "WorklistLabel", worklist_label)
    return attributes, filled


def _conform(given: Json, requirements: tuple[Requirement, ...]) -> tuple[Json, tuple[str, ...]]:
    attributes, filled = dict(given), list[str]()
    for requirement in requirements:
        present, valued = tag_of(requirement.keyword) in attributes, has_value(attributes, requirement.keyword)
        if requirement.create == "S":
            attributes.pop(tag_of(requirement.keyword), None)
        elif requirement.create == "1" and not valued:
            raise UpsRefused(
                Status.MISSING_ATTRIBUTE_VALUE if present else Status.MISSING_ATTRIBUTE, requirement.keyword
            )
        elif (requirement.create == "-" and present) or (requirement.create == "0" and valued):
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, requirement.keyword)
        elif requirement.create in "20C" and not present:
            put(attributes, requirement.keyword)
            filled += [requirement.keyword] if requirement.create != "C" else []
        if requirement.items and valued:
            parts = [_conform(item, requirement.items) for item in items(attributes, requirement.keyword)]
            put(attributes, requirement.keyword, *(part for part, _ in parts))
            filled += [keyword for _, keywords in parts for keyword in keywords]
    return attributes, tuple(filled)


def check_modification(given: Json) -> None:
    """Refuse an N-SET of what may not be set, or of a value that may not be taken away.

    Raises
    ------
    UpsRefused
        0x0106 or 0x0121 with the attribute.
    """
    _check_modification(given, REQUIREMENTS)
    _check_values(given)


def _check_modification(given: Json, requirements: tuple[Requirement, ...]) -> None:
    for requirement in requirements:
        if tag_of(requirement.keyword) not in given:
            continue
        if requirement.modify == "-":
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, requirement.keyword)
        if requirement.modify == "1" and not has_value(given, requirement.keyword):
            raise UpsRefused(Status.MISSING_ATTRIBUTE_VALUE, requirement.keyword)
        for item in items(given, requirement.keyword):
            _check_modification(item, requirement.items)


def settable(given: Json) -> Json:
    """The attributes of an N-SET without those that the SCP sets itself."""
    own = {tag_of(requirement.keyword) for requirement in REQUIREMENTS if requirement.modify == "S"}
    return {tag: entry for tag, entry in given.items() if tag not in own}


def _check_values(attributes: Json) -> None:
    for keyword, allowed in _ENUMERATED.items():
        if tag_of(keyword) in attributes and text(attributes, keyword) not in allowed:
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, keyword)
    for keyword, item in _codes(attributes):
        if not any(has_value(item, value) for value in _CODE_VALUES):
            raise UpsRefused(Status.MISSING_ATTRIBUTE, f"CodeValue in {keyword}")
        if not has_value(item, "CodeMeaning"):
            raise UpsRefused(Status.MISSING_ATTRIBUTE, f"CodeMeaning in {keyword}")


def _codes(attributes: Json) -> Iterator[tuple[str, Json]]:
    """Every Item of every Code Sequence, at any depth, with the Sequence's keyword."""
    for tag, entry in attributes.items():
        if entry["vr"] != "SQ":
            continue
        keyword = keyword_of(tag)
        for item in items(attributes, keyword) if not keyword.startswith("(") else ():
            if keyword.endswith("CodeSequence"):
                yield keyword, item
            yield from _codes(item)


def missing_for(attributes: Json, state: State) -> str:
    """The keyword of the first attribute without which the final `state` may not be taken, or "" (CC.2.5.1.1)."""
    return _missing_for(attributes, state, REQUIREMENTS)


def _missing_for(attributes: Json, state: State, requirements: tuple[Requirement, ...]) -> str:
    needed = {"R", "P", "p"} if state is State.COMPLETED else {"R", "X"}
    for requirement in requirements:
        if requirement.final not in needed:
            continue
        there = (
            tag_of(requirement.keyword) in attributes
            if requirement.final == "p"
            else has_value(attributes, requirement.keyword)
        )
        if not there:
            return requirement.keyword
        if requirement.final in "PX":
            for item in items(attributes, requirement.keyword):
                if missing := _missing_for(item, state, requirement.items):
                    return missing
    return ""
