"""An audit message as a value, and as the XML of PS3.15 A.5.1. Pure."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from node.audit.codes import Action, Code, EventOutcome, Kind, Role

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_MACHINE_NAME, _IP_ADDRESS = "1", "2"  # NetworkAccessPointTypeCode
_APPLICATION_SERVER = "4"  # AuditSourceTypeCode, A.5.1.2.1


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part (ActiveParticipant).

    Attributes
    ----------
    user_id
        Of a DICOM node its AE title, as in our log; of a person at the page the address of the browser.
    address
        IP address, or host name.
    """

    user_id: str
    role: Code | None = None
    requestor: bool = False
    ae_title: str = ""
    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """What it was done with (ParticipantObjectIdentification).

    Attributes
    ----------
    query
        Where it is a query: its bytes, in the format of the protocol.
    details
        Types and values.
    sop_classes
        SOP Class UIDs and numbers of instances.
    """

    kind: Kind
    role: Role
    id_type: Code
    identifier: str
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    sop_classes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What happened, when (seconds since 1970 UTC), and how it ended."""

    event: Code
    action: Action
    at: float
    participants: tuple[Participant, ...]
    things: tuple[Thing, ...] = ()
    types: tuple[Code, ...] = ()
    outcome: EventOutcome = EventOutcome.SUCCESS
    description: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Who reports it: AuditSourceID and AuditEnterpriseSiteID."""

    identifier: str
    site: str = ""


def as_xml(message: Message, source: Source) -> str:
    """The message as one line of XML, without a declaration."""
    root = Element("AuditMessage")
    event = _sub(
        root, "EventIdentification", EventActionCode=message.action, EventDateTime=moment(message.at),
        EventOutcomeIndicator=message.outcome,
    )  # fmt: skip
    _coded(event, "EventID", message.event)
    for code in message.types:
        _coded(event, "EventTypeCode", code)
    if message.description:
        SubElement(event, "EventOutcomeDescription").text = _clean(message.description)
    for participant in message.participants:
        _participant(root, participant)
    by = _sub(root, "AuditSourceIdentification", AuditEnterpriseSiteID=source.site, AuditSourceID=source.identifier)
    _sub(by, "AuditSourceTypeCode", **{"csd-code": _APPLICATION_SERVER})
    for thing in message.things:
        _thing(root, thing)
    return tostring(root, encoding="unicode")


def moment(at: float) -> str:
    """xsd:dateTime with its time zone (A.5.2.5), as RFC 5424 6.2.3 takes it, too."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _participant(root: Element, participant: Participant) -> None:
    address = participant.address
    element = _sub(
        root, "ActiveParticipant",
        UserID=participant.user_id or "unknown",
        AlternativeUserID=f"AETITLES={participant.ae_title}" if participant.ae_title else "",  # A.5.2.2
        UserName=participant.name,
        UserIsRequestor="true" if participant.requestor else "false",
        NetworkAccessPointID=address,
        NetworkAccessPointTypeCode=address and (_IP_ADDRESS if _is_ip(address) else _MACHINE_NAME),
    )  # fmt: skip
    if participant.role:
        _coded(element, "RoleIDCode", participant.role)


def _thing(root: Element, thing: Thing) -> None:
    element = _sub(
        root, "ParticipantObjectIdentification",
        ParticipantObjectID=thing.identifier or "unknown",
        ParticipantObjectTypeCode=thing.kind,
        ParticipantObjectTypeCodeRole=thing.role,
    )  # fmt: skip
    _coded(element, "ParticipantObjectIDTypeCode", thing.id_type)
    if thing.query is None:
        SubElement(element, "ParticipantObjectName")  # the schema asks for it; names stay out of the trail
    else:
        SubElement(element, "ParticipantObjectQuery").text = _base64(thing.query)
    for kind, value in thing.details:
        _sub(element, "ParticipantObjectDetail", type=kind, value=_base64(value))
    if thing.sop_classes:
        description = SubElement(element, "ParticipantObjectDescription")
        for uid, count in thing.sop_classes:
            _sub(description, "SOPClass", UID=uid, NumberOfInstances=str(count))


def _coded(parent: Element, name: str, code: Code) -> None:
    _sub(parent, name, **{"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _sub(parent: Element, name: str, **attributes: str) -> Element:
    """An element with those attributes that have a value."""
    return SubElement(parent, name, {key: _clean(value) for key, value in attributes.items() if value})


def _clean(value: str) -> str:
    """Without what XML 1.0 has no place for; on one line."""
    return " ".join(_NOT_XML.sub("\ufffd", value).split())


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
