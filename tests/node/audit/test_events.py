"""Each message against the schema of PS3.15 A.5.1 and its table of A.5.3."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from xml.etree.ElementTree import Element, fromstring

import pytest

from node.audit import events
from node.audit.codes import NODE_AUTHENTICATION, Action, EventOutcome
from node.audit.message import Message, Participant, Source, as_xml
from tests.node.audit.schema import faults

US = Participant("READFIRST", ae_title="READFIRST", name="readfirst", address="node.example")
PEER = Participant("PACS", ae_title="PACS", address="10.0.0.5")
PERSON = Participant("10.0.0.9", address="10.0.0.9")
STUDY, PATIENT, CT = "1.2.3", "4711", "1.2.840.10008.5.1.4.1.1.2"
AT = 1795300000.25
FIND, SYNTAX, KEYS = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2", b"\x08\x00\x52\x00keys"

MESSAGES: dict[str, Message] = {
    "start": events.activity(US, AT, starts=True),
    "stop": events.activity(US, AT, starts=False),
    "begin": events.transfer_begins(US, PEER, AT, STUDY, PATIENT, {CT: 2}),
    "stored": events.transferred(PEER, US, AT, STUDY, PATIENT, {CT: 2}, Action.CREATE),
    "failed": events.transferred(
        US, PEER, AT, STUDY, PATIENT, {CT: 1}, Action.READ, EventOutcome.MINOR, "it\nwas refused"
    ),
    "accessed": events.accessed(US, PERSON, AT, STUDY, PATIENT),
    "deleted": events.deleted(US, None, AT, STUDY, PATIENT, {CT: 2}, "images deleted by retention", whole=False),
    "forgotten": events.deleted(US, PERSON, AT, STUDY, PATIENT, {}, "rows deleted by readfirst forget", whole=True),
    "query": events.query(PEER, US, AT, FIND, KEYS, SYNTAX),
    "search": events.search(PERSON, US, AT, "/dicomweb/workitems", b"PatientID=4711"),
    "alert": events.alert(US, PEER, AT, NODE_AUTHENTICATION, "not known <here> & now"),
    "login": events.authentication(US, PERSON, AT, comes=True, known=False),
    "logout": events.authentication(US, PERSON, AT, comes=False),
}
# PS3.15 A.5.3: EventID, EventActionCode, EventTypeCode, RoleIDCodes, things (type, role, ID type, ID)
OF_STUDY = (("2", "3", "110180", STUDY), ("1", "1", "2", PATIENT))
ENDS = ("110153", "110152")
TABLE = {
    "start": ("110100", "E", "110120", ("110150",), ()),
    "stop": ("110100", "E", "110121", ("110150",), ()),
    "begin": ("110102", "E", "", ENDS, OF_STUDY),
    "stored": ("110104", "C", "", ENDS, OF_STUDY),
    "failed": ("110104", "R", "", ENDS, OF_STUDY),
    "accessed": ("110103", "R", "", ("", ""), OF_STUDY),
    "deleted": ("110103", "D", "", ("",), OF_STUDY),
    "forgotten": ("110105", "D", "", ("", ""), OF_STUDY),
    "query": ("110112", "E", "", ENDS, (("2", "3", "110181", FIND),)),
    "search": ("110112", "E", "", ENDS, (("2", "3", "12", "/dicomweb/workitems"),)),
    "alert": ("110113", "E", "110126", ("", ""), (("2", "13", "110182", "10.0.0.5"),)),
    "login": ("110114", "E", "110122", ("", ""), ()),
    "logout": ("110114", "E", "110123", ("", ""), ()),
}


def xml(message: Message) -> str:
    return as_xml(message, Source("READFIRST", "Hospital"))


def code(element: Element | None) -> str:
    return "" if element is None else element.attrib["csd-code"]


@pytest.mark.parametrize("name", MESSAGES)
def test_it_is_as_the_schema_says(name: str) -> None:
    assert faults(xml(MESSAGES[name])) == []
    assert "\n" not in xml(MESSAGES[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_it_is_as_its_table_says(name: str) -> None:
    root = fromstring(xml(MESSAGES[name]))
    event = root[0]
    roles = tuple(code(one.find("RoleIDCode")) for one in root.iter("ActiveParticipant"))
    things = tuple(
        (
            one.attrib["ParticipantObjectTypeCode"], one.attrib["ParticipantObjectTypeCodeRole"],
            code(one.find("ParticipantObjectIDTypeCode")), one.attrib["ParticipantObjectID"],
        )
        for one in root.iter("ParticipantObjectIdentification")
    )  # fmt: skip
    said = code(event.find("EventID")), event.attrib["EventActionCode"], code(event.find("EventTypeCode"))
    assert (*said, roles, things) == TABLE[name]
    assert event.attrib["EventDateTime"] == "2026-11-21T22:26:40.250Z"
    assert [one.attrib["UserIsRequestor"] for one in root.iter("ActiveParticipant")].count("true") <= 1


def test_values_that_may_hurt_are_encoded() -> None:
    alert, query = fromstring(xml(MESSAGES["alert"])), fromstring(xml(MESSAGES["query"]))
    detail = alert.find(".//ParticipantObjectDetail")
    assert detail is not None
    assert (detail.attrib["type"], b64decode(detail.attrib["value"])) == (
        "Alert Description",
        b"not known <here> & now",
    )
    keys, syntax = query.find(".//ParticipantObjectQuery"), query.find(".//ParticipantObjectDetail")
    assert keys is not None
    assert syntax is not None
    assert b64decode(keys.text or "") == KEYS
    assert (syntax.attrib["type"], b64decode(syntax.attrib["value"])) == ("TransferSyntax", SYNTAX.encode())


def test_a_transfer_tells_how_many_of_which_class_and_who_took_part() -> None:
    root = fromstring(xml(MESSAGES["stored"]))
    assert [one.attrib for one in root.iter("SOPClass")] == [{"UID": CT, "NumberOfInstances": "2"}]
    source, destination = root.iter("ActiveParticipant")
    assert (source.attrib["UserID"], source.attrib["UserIsRequestor"]) == ("PACS", "true")
    assert (source.attrib["NetworkAccessPointID"], source.attrib["NetworkAccessPointTypeCode"]) == ("10.0.0.5", "2")
    assert destination.attrib["AlternativeUserID"] == "AETITLES=READFIRST"
    assert destination.attrib["NetworkAccessPointTypeCode"] == "1"


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "a\nb\tc", "<&\"'>", "", " "])
def test_whatever_a_peer_calls_itself_it_is_xml(name: str) -> None:
    odd = Participant(name, ae_title=name, address=name)
    assert faults(xml(events.alert(US, odd, AT, NODE_AUTHENTICATION, "x"))) == []


Breaking = Callable[[str], str]


@pytest.mark.parametrize(
    "broken",
    [
        lambda said: said.replace(' EventOutcomeIndicator="0"', ""),
        lambda said: said.replace('EventActionCode="C"', 'EventActionCode="X"'),
        lambda said: said.replace("<ParticipantObjectName />", "", 1),
        lambda said: said.replace("AuditSourceIdentification", "Source"),
        lambda said: said.replace(' originalText="Source Role ID"', ""),
        lambda said: said.replace(".250Z", ".250"),
    ],
)
def test_the_check_sees_what_is_wrong(broken: Breaking) -> None:
    good = xml(MESSAGES["stored"])
    assert broken(good) != good
    assert faults(broken(good)) != []
