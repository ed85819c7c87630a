"""The messages that this node makes, each by its table of PS3.15 A.5.3. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from node.audit import codes
from node.audit.codes import Action, Code, EventOutcome, Kind, Role
from node.audit.message import Message, Participant, Thing

Counts = Mapping[str, int]
"""Numbers of instances by SOP Class UID."""


def activity(us: Participant, at: float, *, starts: bool) -> Message:
    """Application Activity (A.5.3.1)."""
    kind = codes.APPLICATION_START if starts else codes.APPLICATION_STOP
    return Message(
        codes.APPLICATION_ACTIVITY, Action.EXECUTE, at, (replace(us, role=codes.APPLICATION),), types=(kind,)
    )


def transfer_begins(us: Participant, peer: Participant, at: float, study: str, patient: str, counts: Counts) -> Message:
    """Begin Transferring DICOM Instances (A.5.3.3): we are about to send."""
    parties = replace(us, role=codes.SOURCE, requestor=True), replace(peer, role=codes.DESTINATION)
    return Message(codes.BEGIN_TRANSFERRING, Action.EXECUTE, at, parties, _study(study, patient, counts))


def transferred(
    source: Participant, destination: Participant, at: float, study: str, patient: str, counts: Counts,
    action: Action, outcome: EventOutcome = EventOutcome.SUCCESS, description: str = "",
) -> Message:  # fmt: skip
    """DICOM Instances Transferred (A.5.3.7), of one study; the source asked for the transfer.

    Parameters
    ----------
    action
        CREATE where the receiver did not hold the instances, READ where it did, or where we do not know.
    """
    parties = replace(source, role=codes.SOURCE, requestor=True), replace(destination, role=codes.DESTINATION)
    things = _study(study, patient, counts)
    return Message(codes.INSTANCES_TRANSFERRED, action, at, parties, things, (), outcome, description)


def accessed(us: Participant, who: Participant, at: float, study: str, patient: str) -> Message:
    """DICOM Instances Accessed (A.5.3.6): somebody looks at a study."""
    parties = replace(who, requestor=True), us
    return Message(codes.INSTANCES_ACCESSED, Action.READ, at, parties, _study(study, patient, {}))


def deleted(
    us: Participant, person: Participant | None, at: float, study: str, patient: str, counts: Counts, why: str, *,
    whole: bool,
) -> Message:  # fmt: skip
    """A part of a study was deleted (DICOM Instances Accessed, A.5.3.6), or (`whole`) all (Study Deleted, A.5.3.8).

    Parameters
    ----------
    person
        Who asked for it; None: the node did it by itself.
    """
    parties = (replace(person, requestor=True), us) if person else (replace(us, requestor=True),)
    event, things = codes.STUDY_DELETED if whole else codes.INSTANCES_ACCESSED, _study(study, patient, counts)
    return Message(event, Action.DELETE, at, parties, things, description=why)


def query(
    source: Participant, destination: Participant, at: float, sop_class_uid: str, keys: bytes, syntax: str
) -> Message:
    """Query (A.5.3.10) by C-FIND; `keys` is the Identifier in the transfer syntax `syntax`."""
    details = (("TransferSyntax", syntax.encode("ascii")),)
    asked = Thing(Kind.SYSTEM, Role.REPORT, codes.SOP_CLASS_UID, sop_class_uid, keys, details)
    return _query(source, destination, at, asked)


def search(source: Participant, destination: Participant, at: float, path: str, keys: bytes) -> Message:
    """Query (A.5.3.10) by HTTP; `keys` is the query of the URL."""
    return _query(source, destination, at, Thing(Kind.SYSTEM, Role.REPORT, codes.URI, path, keys))


def alert(us: Participant, peer: Participant, at: float, kind: Code, description: str) -> Message:
    """Security Alert (A.5.3.11): a node was not let in, or not allowed something; what guards us worked."""
    details = (("Alert Description", description.encode()),)
    subject = Thing(Kind.SYSTEM, Role.SECURITY_RESOURCE, codes.NODE_ID, peer.address, details=details)
    return Message(codes.SECURITY_ALERT, Action.EXECUTE, at, (us, peer), (subject,), (kind,), EventOutcome.SERIOUS)


def authentication(us: Participant, who: Participant, at: float, *, comes: bool, known: bool = True) -> Message:
    """User Authentication (A.5.3.12): somebody logs in, tries to, or logs out."""
    kind, outcome = codes.LOGIN if comes else codes.LOGOUT, EventOutcome.SUCCESS if known else EventOutcome.MINOR
    parties = replace(who, requestor=True), us
    return Message(codes.USER_AUTHENTICATION, Action.EXECUTE, at, parties, types=(kind,), outcome=outcome)


def _query(source: Participant, destination: Participant, at: float, asked: Thing) -> Message:
    parties = replace(source, role=codes.SOURCE, requestor=True), replace(destination, role=codes.DESTINATION)
    return Message(codes.QUERY, Action.EXECUTE, at, parties, (asked,))


def _study(study: str, patient: str, counts: Counts) -> tuple[Thing, Thing]:
    classes = tuple(sorted(counts.items()))
    of_study = Thing(Kind.SYSTEM, Role.REPORT, codes.STUDY_INSTANCE_UID, study, sop_classes=classes)
    return of_study, Thing(Kind.PERSON, Role.PATIENT, codes.PATIENT_NUMBER, patient)
