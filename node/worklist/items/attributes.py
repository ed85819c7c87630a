"""Which attributes a Unified Procedure Step may and must hold, and when (PS3.4 Table CC.2.5-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.worklist.items.json_model import Json, has_value, items, keyword_of, put, tag_of, text
from node.worklist.items.priority import Priority
from node.worklist.items.states import State
from node.worklist.items.statuses import Status, UpsRefused


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of Table CC.2.5-3.

    create: "1" must have a value, "2" may be empty, "C" is conditional (empty where absent), "3" may be absent,
    "0" must be empty, "-" not allowed, "S" the SCP's own (what a peer says is replaced). modify (N-SET): "1" not
    without a value, "2" may be emptied, "-" not allowed, "S" as before. final: R, P (for COMPLETED), X (for CANCELED)
    or O; lower case "p": must be there for COMPLETED but may have no Items. A "1" in an Item holds where the Item is.
    """

    keyword: str
    create: str
    modify: str
    final: str = "O"
    items: tuple[Rule, ...] = ()


_REFERENCES = (  # Table CC.2.5-2c
    Rule("TypeOfInstances", "1", "1"),
    Rule("ReferencedSOPSequence", "1", "1", "O", (
        Rule("ReferencedSOPClassUID", "1", "1"),
        Rule("ReferencedSOPInstanceUID", "1", "1"),
    )),
)  # fmt: skip
_PERFORMER = (Rule("HumanPerformerCodeSequence", "1", "1"),)
_REQUEST = (
    Rule("StudyInstanceUID", "1", "-"),
    Rule("AccessionNumber", "2", "-"),
    Rule("IssuerOfAccessionNumberSequence", "2", "-"),
    Rule("OrderPlacerIdentifierSequence", "2", "-"),
    Rule("OrderFillerIdentifierSequence", "2", "-"),
    Rule("RequestedProcedureID", "2", "-"),
    Rule("RequestedProcedureDescription", "2", "-"),
    Rule("RequestedProcedureCodeSequence", "2", "-"),
)
_PROGRESS = (
    Rule("ProcedureStepCancellationDateTime", "-", "1", "O"),  # X, but the SCP fills it in itself
    Rule("ProcedureStepDiscontinuationReasonCodeSequence", "-", "1", "X"),
)
_PERFORMED = (
    Rule("PerformedStationNameCodeSequence", "-", "2", "P"),
    Rule("PerformedProcedureStepStartDateTime", "-", "1", "P"),
    Rule("PerformedWorkitemCodeSequence", "-", "1", "P"),
    Rule("PerformedProcedureStepEndDateTime", "-", "1", "P"),
    Rule("OutputInformationSequence", "-", "2", "p", _REFERENCES),
)

RULES: tuple[Rule, ...] = (
    Rule("TransactionUID", "0", "S"),
    Rule("SOPClassUID", "S", "-", "R"),
    Rule("SOPInstanceUID", "-", "-", "R"),
    Rule("ScheduledProcedureStepPriority", "1", "1", "R"),
    Rule("ScheduledProcedureStepModificationDateTime", "S", "S", "R"),
    Rule("ProcedureStepLabel", "1", "1"),
    Rule("WorklistLabel", "2", "1"),
    Rule("ScheduledProcessingParametersSequence", "2", "2"),
    Rule("ScheduledStationNameCodeSequence", "2", "2"),
    Rule("ScheduledStationClassCodeSequence", "2", "2"),
    Rule("ScheduledStationGeographicLocationCodeSequence", "2", "2"),
    Rule("ScheduledHumanPerformersSequence", "3", "2", "O", _PERFORMER),
    Rule("ScheduledProcedureStepStartDateTime", "1", "1", "R"),
    Rule("ExpectedCompletionDateTime", "3", "1"),
    Rule("ScheduledWorkitemCodeSequence", "2", "1"),
    Rule("CommentsOnTheScheduledProcedureStep", "2", "1"),
    Rule("InputReadinessState", "1", "1", "R"),
    Rule("InputInformationSequence", "2", "2", "O", _REFERENCES),
    Rule("StudyInstanceUID", "C", "2"),
    Rule("PatientName", "2", "-"),
    Rule("PatientID", "C", "-"),
    Rule("IssuerOfPatientID", "2", "-"),
    Rule("IssuerOfPatientIDQualifiersSequence", "2", "-"),
    Rule("OtherPatientIDsSequence", "2", "2"),
    Rule("PatientBirthDate", "2", "-"),
    Rule("PatientSex", "2", "-"),
    Rule("AdmissionID", "2", "-"),
    Rule("IssuerOfAdmissionIDSequence", "2", "-"),
    Rule("AdmittingDiagnosesDescription", "2", "-"),
    Rule("AdmittingDiagnosesCodeSequence", "2", "-"),
    Rule("ReferencedRequestSequence", "2", "-", "O", _REQUEST),
    Rule("ReplacedProcedureStepSequence", "3", "-"),
    Rule("ProcedureStepState", "1", "-", "R"),
    Rule("ProcedureStepProgressInformationSequence", "0", "2", "X", _PROGRESS),
    Rule("UnifiedProcedureStepPerformedProcedureSequence", "0", "2", "P", _PERFORMED),
)

_ENUMERATED = {  # PS3.3 C.30.1, C.30.2
    "ScheduledProcedureStepPriority": tuple(Priority),
    "InputReadinessState": ("READY", "UNAVAILABLE", "INCOMPLETE"),
}
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")  # PS3.3 8.8: one of them


def check_creation(given: Json, worklist_label: str) -> tuple[Json, tuple[str, ...]]:
    """What an N-CREATE makes of the peer's Attribute List, and the keywords that were filled in for it.

    Missing or empty Type 1 attributes are refused; missing Type 2 attributes come to be with zero length.

    Raises
    ------
    UpsRefused
        0x0120, 0x0121, 0x0106 with the attribute, or 0xC309.
    """
    attributes, filled = _conform(given, RULES)
    if text(attributes, "ProcedureStepState") != State.SCHEDULED:
        raise UpsRefused(Status.NOT_SCHEDULED)
    _check_values(attributes)
    if not has_value(attributes, "WorklistLabel"):
        put(attributes, "WorklistLabel", worklist_label)
    return attributes, filled


def _conform(given: Json, rules: tuple[Rule, ...]) -> tuple[Json, tuple[str, ...]]:
    attributes, filled = dict(given), list[str]()
    for rule in rules:
        present, valued = tag_of(rule.keyword) in attributes, has_value(attributes, rule.keyword)
        if rule.create == "S":
            attributes.pop(tag_of(rule.keyword), None)
        elif rule.create == "1" and not valued:
            raise UpsRefused(Status.MISSING_ATTRIBUTE_VALUE if present else Status.MISSING_ATTRIBUTE, rule.keyword)
        elif (rule.create == "-" and present) or (rule.create == "0" and valued):
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, rule.keyword)
        elif rule.create in "20C" and not present:
            put(attributes, rule.keyword)
            filled += [rule.keyword] if rule.create != "C" else []
        if rule.items and valued:
            parts = [_conform(item, rule.items) for item in items(attributes, rule.keyword)]
            put(attributes, rule.keyword, *(part for part, _ in parts))
            filled += [keyword for _, keywords in parts for keyword in keywords]
    return attributes, tuple(filled)


def check_modification(given: Json) -> None:
    """Refuse an N-SET of what may not be set, or of a value that may not be taken away.

    Raises
    ------
    UpsRefused
        0x0106 or 0x0121 with the attribute.
    """
    _check_modification(given, RULES)
    _check_values(given)


def _check_modification(given: Json, rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        if tag_of(rule.keyword) not in given:
            continue
        if rule.modify == "-":
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, rule.keyword)
        if rule.modify == "1" and not has_value(given, rule.keyword):
            raise UpsRefused(Status.MISSING_ATTRIBUTE_VALUE, rule.keyword)
        for item in items(given, rule.keyword):
            _check_modification(item, rule.items)


def settable(given: Json) -> Json:
    """The attributes of an N-SET without those that the SCP sets itself."""
    own = {tag_of(rule.keyword) for rule in RULES if rule.modify == "S"}
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
    return _missing_for(attributes, state, RULES)


def _missing_for(attributes: Json, state: State, rules: tuple[Rule, ...]) -> str:
    needed = {"R", "P", "p"} if state is State.COMPLETED else {"R", "X"}
    for rule in rules:
        if rule.final not in needed:
            continue
        there = tag_of(rule.keyword) in attributes if rule.final == "p" else has_value(attributes, rule.keyword)
        if not there:
            return rule.keyword
        if rule.final in "PX":
            for item in items(attributes, rule.keyword):
                if missing := _missing_for(item, state, rule.items):
                    return missing
    return ""
