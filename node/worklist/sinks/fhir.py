"""FHIR R4 resources of a notice: Task (http://hl7.org/fhir/R4/task.html) and ServiceRequest (…/servicerequest.html)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from node.worklist.sinks.facts import Notice, facts

Resource = dict[str, Any]
SYSTEM = "urn:readfirst:notice"  # of our identifiers
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def task(notice: Notice, priority: str) -> Resource:
    """A Task: read the study with this priority, and why."""
    known = facts(notice)
    return _resource(
        {
            "resourceType": "Task",
            "identifier": [{"system": SYSTEM, "value": notice.control_id}],
            "basedOn": [_order(known)] if known["accession_number"] else [],
            "status": "requested",
            "intent": "proposal",
            "priority": priority,
            "code": {"text": "Read imaging study"},
            "description": notice.reason,
            "focus": _study(notice),
            "for": _patient(known),
            "authoredOn": _moment(notice),
            "requester": {"display": "ReadFirst (software)"},
            "reasonCode": {"text": notice.reason},
        }
    )


def service_request(notice: Notice, priority: str) -> Resource:
    """A ServiceRequest: the study's order, proposed with this priority, and why."""
    known = facts(notice)
    procedure = known["procedure"]
    coding = {"code": procedure["code"], "display": procedure["meaning"]} if procedure["code"] else {}
    return _resource(
        {
            "resourceType": "ServiceRequest",
            "identifier": [{"system": SYSTEM, "value": notice.control_id}, *_order_identifiers(known)],
            "status": "active",
            "intent": "proposal",
            "priority": priority,
            "code": {"coding": [coding], "text": procedure["meaning"]},
            "subject": _patient(known) or {"display": "unknown"},
            "authoredOn": _moment(notice),
            "requester": {"display": "ReadFirst (software)"},
            "reasonCode": [{"text": notice.reason}],
            "supportingInfo": [_study(notice)],
        }
    )


RESOURCES: Mapping[str, Callable[[Notice, str], Resource]] = {"Task": task, "ServiceRequest": service_request}


def _moment(notice: Notice) -> str:
    return datetime.fromtimestamp(notice.decided_at, UTC).isoformat(timespec="seconds")


def _study(notice: Notice) -> Resource:
    """An ImagingStudy by its business identifier (ImagingStudy.identifier)."""
    identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{notice.study_instance_uid}"}
    return {"type": "ImagingStudy", "identifier": identifier}


def _order(known: Mapping[str, Any]) -> Resource:
    return {"type": "ServiceRequest", "identifier": _order_identifiers(known)[0]}


def _order_identifiers(known: Mapping[str, Any]) -> list[Resource]:
    """Accession, placer and filler number, those that are known (v2 table 0203)."""
    numbers = {"ACSN": known["accession_number"], "PLAC": known["order"]["placer"], "FILL": known["order"]["filler"]}
    return [
        {"type": {"coding": [{"system": _IDENTIFIER_TYPES, "code": kind}]}, "value": number}
        for kind, number in numbers.items()
        if number
    ]


def _patient(known: Mapping[str, Any]) -> Resource:
    patient = known["patient"]
    if not patient["id"]:
        return {}
    kind = {"coding": [{"system": _IDENTIFIER_TYPES, "code": "MR"}]}
    identifier = {"type": kind, "value": patient["id"], "assigner": {"display": patient["issuer"]}}
    return {"type": "Patient", "identifier": identifier}


def _resource(elements: Resource) -> Resource:
    return dict(_without_empty(elements))


def _without_empty(value: Any) -> Any:
    """FHIR has no empty strings, lists or objects (R4 2.6.2)."""
    if isinstance(value, dict):
        kept = {key: _without_empty(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part not in ("", [], {}, None)}
    if isinstance(value, list):
        return [part for part in map(_without_empty, value) if part not in ("", [], {}, None)]
    return value
