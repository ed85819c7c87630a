"""The audit message schema of PS3.15 A.5.1.1 (RELAX NG Compact there) as tables, and a check of XML against them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, fromstring

ANY, TOKEN = r"[^\x00]*", r"(\S+( \S+)*)?"
DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"  # A.5.2.5: with its time zone
BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
BOOLEAN, INTEGER, UID = "true|false|0|1", r"[+-]?\d+", r"[0-2](\.(0|[1-9][0-9]*))*"


def numbers(last: int) -> str:
    return "|".join(map(str, range(1, last + 1)))


@dataclass(frozen=True)
class Rule:
    """`children` is a pattern over the children's names, each followed by a space; a name with ? may be missing."""

    children: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


CODED = Rule("", {"csd-code": TOKEN, "codeSystemName": TOKEN, "displayName?": TOKEN, "originalText": TOKEN})
PAIR = Rule("", {"type": TOKEN, "value": BASE64})
WITH_UID = Rule("", {"UID": UID})

RULES: Mapping[str, Rule] = {
    "AuditMessage": Rule(
        "EventIdentification (ActiveParticipant )+AuditSourceIdentification (ParticipantObjectIdentification )*"
    ),
    "EventIdentification": Rule(
        "EventID (EventTypeCode )*(EventOutcomeDescription )?",
        {"EventActionCode?": "C|R|U|D|E", "EventDateTime": DATE_TIME, "EventOutcomeIndicator": "0|4|8|12"},
    ),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "EventOutcomeDescription": Rule(text=ANY),
    "ActiveParticipant": Rule(
        "(RoleIDCode )*(MediaIdentifier )?",
        {
            "UserID": ANY, "AlternativeUserID?": ANY, "UserName?": ANY, "UserIsRequestor": BOOLEAN,
            "NetworkAccessPointID?": TOKEN, "NetworkAccessPointTypeCode?": numbers(5),
        },
    ),
    "RoleIDCode": CODED,
    "AuditSourceIdentification": Rule(
        "(AuditSourceTypeCode )*", {"AuditEnterpriseSiteID?": TOKEN, "AuditSourceID": TOKEN}
    ),
    "AuditSourceTypeCode": Rule("", {"csd-code": numbers(9)}),
    "ParticipantObjectIdentification": Rule(
        "ParticipantObjectIDTypeCode (ParticipantObjectName |ParticipantObjectQuery )"
        "(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
        {
            "ParticipantObjectID": TOKEN, "ParticipantObjectTypeCode?": numbers(4),
            "ParticipantObjectTypeCodeRole?": numbers(26), "ParticipantObjectDataLifeCycle?": numbers(15),
            "ParticipantObjectSensitivity?": TOKEN,
        },
    ),
    "ParticipantObjectIDTypeCode": CODED,
    "ParticipantObjectName": Rule(text=TOKEN),
    "ParticipantObjectQuery": Rule(text=BASE64),
    "ParticipantObjectDetail": PAIR,
    "ParticipantObjectDescription": Rule(
        "(MPPS )*(Accession )*(SOPClass )*(ParticipantObjectContainsStudy )?(Encrypted )?(Anonymized )?"
    ),
    "SOPClass": Rule("(Instance )*", {"UID?": UID, "NumberOfInstances": INTEGER}),
    "Instance": WITH_UID,
}  # fmt: skip


def faults(xml: str) -> list[str]:
    """Where a message is not as the schema says; nothing where it is."""
    root = fromstring(xml)
    return ([f"the root is {root.tag}"] if root.tag != "AuditMessage" else []) + list(_faults(root))


def _faults(element: Element) -> list[str]:
    rule = RULES.get(element.tag)
    if rule is None:
        return [f"{element.tag} is no element of the schema"]
    found = []
    inside = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(rule.children, inside):
        found.append(f"{element.tag} has the children {inside}")
    known = {name.rstrip("?"): pattern for name, pattern in rule.attributes.items()}
    required = {name for name in rule.attributes if not name.endswith("?")}
    found += [f"{element.tag} lacks {name}" for name in required - element.attrib.keys()]
    for name, value in element.attrib.items():
        if name not in known or not re.fullmatch(known[name], value):
            found.append(f"{element.tag} {name}={value!r}")
    if not re.fullmatch(rule.text, element.text or ""):
        found.append(f"{element.tag} holds {element.text!r}")
    return found + [fault for child in element for fault in _faults(child)]
