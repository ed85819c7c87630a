"""The facts of a notice that templates and FHIR resources are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from node.worklist.items.json_model import Json, items, tag_of, text

FINDING = {  # a sample of the findings in a notice's content: columns of the ledger
    "label": "a finding", "quantity": "probability", "probability": 0.9, "operating_point": 0.5, "present": True,
    "place": "", "urgency": "HIGH",
}  # fmt: skip
_NAME_PARTS = ("family", "given", "middle", "prefix", "suffix")  # PS3.5 6.2.1.1
_REPRESENTATIONS = {"Alphabetic": "A", "Ideographic": "I", "Phonetic": "P"}  # HL7 table 4000


@dataclass(frozen=True, slots=True)
class Notice:
    """One decision on its way to one sink. The same `control_id` is the same notice, however often it is sent.

    `content` is frozen with the decision: `attributes` (the work item's Data Set, DICOM JSON Model), `findings` and
    `order` (the numbers of placer and filler). It names the patient: for the sink, not for a log.
    """

    control_id: str
    work_item_uid: str
    study_instance_uid: str
    priority: str  # HIGH, MEDIUM or LOW
    reason: str
    decided_at: float  # seconds since 1970 UTC
    content: Mapping[str, Any]
    id: int = 0
    attempts: int = 0

    @property
    def attributes(self) -> Json:
        """The work item's Data Set as it was when the priority was decided."""
        return dict(self.content["attributes"])


def facts(notice: Notice) -> dict[str, Any]:
    """The names that a template may use; each is there, empty where nothing is known."""
    attributes, order = notice.attributes, notice.content.get("order") or {}
    request = next(iter(items(attributes, "ReferencedRequestSequence")), {})
    accession = order.get("accession_number") or text(request, "AccessionNumber")
    return {
        "control_id": notice.control_id,
        "time": datetime.fromtimestamp(notice.decided_at, UTC).astimezone().strftime("%Y%m%d%H%M%S%z"),
        "priority": notice.priority,
        "reason": notice.reason,
        "study_instance_uid": notice.study_instance_uid,
        "accession_number": accession,
        "order": {
            "placer": order.get("placer_number") or _identifier(request, "OrderPlacerIdentifierSequence"),
            "filler": order.get("filler_number") or _identifier(request, "OrderFillerIdentifierSequence") or accession,
        },
        "patient": {
            "id": text(attributes, "PatientID"),
            "issuer": text(attributes, "IssuerOfPatientID"),
            "names": _names(attributes),
            "birth_date": text(attributes, "PatientBirthDate"),
            "sex": text(attributes, "PatientSex"),
        },
        "procedure": _procedure(attributes, request),
        "findings": [dict(finding) for finding in notice.content.get("findings", ())],
    }


def _identifier(request: Json, keyword: str) -> str:
    """PS3.3 10.17, HL7v2 Hierarchic Designator Macro: the entity's own identifier is Order … Number's."""
    return next((text(item, "LocalNamespaceEntityID") for item in items(request, keyword)), "")


def _procedure(attributes: Json, request: Json) -> dict[str, str]:
    code = next(iter(items(request, "RequestedProcedureCodeSequence")), {})
    described = text(request, "RequestedProcedureDescription") or text(attributes, "ProcedureStepLabel")
    return {
        "code": text(code, "CodeValue"),
        "meaning": text(code, "CodeMeaning") or described or "Imaging study",
        "scheme": text(code, "CodingSchemeDesignator"),
        "requested_id": text(request, "RequestedProcedureID"),
    }


def _names(attributes: Json) -> list[dict[str, str]]:
    """The patient's name, a repetition a group of its representation (PS3.5 6.2.1.2)."""
    values = attributes.get(tag_of("PatientName"), {}).get("Value", ())
    name = values[0] if values else {}
    return [
        dict.fromkeys(_NAME_PARTS, "")
        | dict(zip(_NAME_PARTS, name[group].split("^"), strict=False))
        | {"representation": letter}
        for group, letter in _REPRESENTATIONS.items()
        if name.get(group)
    ]
