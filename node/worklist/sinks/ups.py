"""The sink `ups`: the study's work item at an external Unified Procedure Step SCP (PS3.4 CC.2.5, CC.2.6, CC.2.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import Association, build_context
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush

from node.dicom.contexts import PLAIN_TRANSFER_SYNTAXES
from node.dicom.identity import is_uid
from node.errors import NotAccepted, NotTaken, PeerError, SinkUnreachable
from node.sending import scu
from node.sending.scu import Requestor
from node.settings import Peer, Settings, UpsSink
from node.worklist.items.attributes import REQUIREMENTS
from node.worklist.items.json_model import Json, from_dataset, items, put, tag_of, text, to_dataset
from node.worklist.items.priority import Priority
from node.worklist.items.states import FINAL, State
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.reading.data_set import is_reading
from node.worklist.sinks import OnQuery, ignore, register
from node.worklist.sinks.facts import Notice, facts

_CLASSES = (UnifiedProcedureStepPull, UnifiedProcedureStepPush)
_RETURNED = (
    "SOPInstanceUID", "ProcedureStepState", "ScheduledProcedureStepPriority", "StudyInstanceUID",
    "ScheduledWorkitemCodeSequence", "ReferencedRequestSequence",
)  # fmt: skip
_DONE = (0x0000, 0x0001, 0xB300, 0xB305)  # success, and warnings of attributes that were coerced (PS3.7 C)
_SETTLED = {  # statuses of N-SET that settle the notice, though nothing was set
    Status.NO_LONGER_UPDATABLE: "its work item is already final",
    Status.WRONG_TRANSACTION: "a reader has claimed its work item meanwhile",
}
_REFUSALS = (  # the same request would be refused again; all others are retried
    Status.INVALID_ATTRIBUTE_VALUE, Status.INVALID_ARGUMENT_VALUE, Status.NO_SUCH_CLASS, Status.MISSING_ATTRIBUTE,
    Status.MISSING_ATTRIBUTE_VALUE, Status.UNRECOGNIZED_OPERATION, 0x0105, 0x0107,
)  # fmt: skip
_NOT_SENT = tuple(map(tag_of, ("SOPClassUID", "SOPInstanceUID", "ScheduledProcedureStepModificationDateTime")))


@dataclass(frozen=True, slots=True)
class Ups:
    """One external worklist."""

    requestor: Requestor
    peer: Peer
    on_query: OnQuery = ignore

    @property
    def where(self) -> str:
        """Where work items are, for people."""
        return f"UPS {self.peer.ae_title}@{self.peer.host}:{self.peer.port}"

    @property
    def longest(self) -> float:
        """Seconds that `send` may take: a peer that answers, if slowly, to each of at most eight requests."""
        return 600.0

    @property
    def least(self) -> Priority:
        """MEDIUM: an item there is only ever raised."""
        return Priority.MEDIUM

    def reach(self) -> str:
        """Propose what `send` needs."""
        accepted = scu.accepted(self.requestor, self.peer, _CLASSES)
        if missing := [uid.name for uid in _CLASSES if uid not in accepted]:
            raise NotTaken(f"{self.where} does NOT accept {' and '.join(missing)}")
        return f"{self.where} accepts Unified Procedure Step Pull and Push"

    def preview(self, notice: Notice) -> str:
        """The C-FIND keys, what an item that is found is set to, and the item that is made where there is none."""
        keys = "\n".join(str(to_dataset(query)) for query in _queries(notice))
        change, made = to_dataset(_change(notice)), to_dataset(_creation(notice))
        return (
            f"C-FIND, in turn\n{keys}\nN-SET\n{change}\nN-CREATE {notice.work_item_uid}, where none is found\n{made}\n"
        )

    def send(self, notice: Notice) -> str:
        """Find the study's work items and raise their priority, or push one."""
        contexts = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in _CLASSES]
        try:
            with scu.associate(self.requestor, self.peer, contexts) as association:
                return _raise_or_create(association, notice, self._audit)
        except PeerError as error:
            raise SinkUnreachable(str(error)) from error
        except RuntimeError as error:  # pynetdicom: the peer has ended the association
            raise SinkUnreachable(f"{self.where} ended the association before the last response") from error
        except ValueError as error:  # pynetdicom: no accepted context for the class
            raise NotTaken(f"{self.where} does not offer UPS Pull and Push") from error

    def _audit(self, keys: Dataset) -> None:
        identifier = encode(keys, is_implicit_vr=True, is_little_endian=True) or b""
        self.on_query(self.peer, str(UnifiedProcedureStepPull), identifier, str(ImplicitVRLittleEndian))


def _raise_or_create(association: Association, notice: Notice, on_query: Callable[[Dataset], None]) -> str:
    found = _found(association, notice, on_query)
    if not found:
        return _create(association, notice)
    return "; ".join(dict.fromkeys(_raise(association, notice, item) for item in found))


def _found(association: Association, notice: Notice, on_query: Callable[[Dataset], None]) -> list[Json]:
    """The study's work items for reading; where none has that code, those that are without a code."""
    for query in _queries(notice):
        on_query(to_dataset(query))
        matches = [item for item in _find(association, query) if _names(item, notice)]
        reading = [item for item in matches if is_reading(item)]
        uncoded = [item for item in matches if not items(item, "ScheduledWorkitemCodeSequence")]
        if reading or uncoded:
            return reading or uncoded
    return []


def _queries(notice: Notice) -> Iterator[Json]:
    """C-FIND keys: the study, then its request's accession number, then its request's study."""
    accession = facts(notice)["accession_number"]
    wanted = [(False, "StudyInstanceUID", notice.study_instance_uid)]
    wanted += [(True, "AccessionNumber", accession)] if accession and not set(accession) & set("*?\\") else []
    wanted += [(True, "StudyInstanceUID", notice.study_instance_uid)]
    for in_request, keyword, value in wanted:
        query: Json = {}
        for returned in _RETURNED:
            put(query, returned)
        request: Json = {}
        for key in ("StudyInstanceUID", "AccessionNumber"):
            put(request, key)
        put(request if in_request else query, keyword, value)
        put(query, "ReferencedRequestSequence", request)
        code: Json = {}
        for key in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
            put(code, key)
        put(query, "ScheduledWorkitemCodeSequence", code)
        yield query


def _find(association: Association, query: Json) -> Iterator[Json]:
    for status, identifier in association.send_c_find(to_dataset(query), UnifiedProcedureStepPull):
        code = status.get("Status")
        if code not in (0x0000, 0xFF00, 0xFF01):
            raise _broken(code, "C-FIND")
        if identifier is not None:
            try:
                yield from_dataset(identifier)[0]
            except UpsRefused:  # an item that cannot be read is not the one that we look for
                continue


def _names(item: Json, notice: Notice) -> bool:
    """Whether the item is the study's: an SCP may ignore a key that it does not support."""
    if not is_uid(text(item, "SOPInstanceUID")):
        return False
    requests = items(item, "ReferencedRequestSequence")
    studies = {text(holder, "StudyInstanceUID") for holder in (item, *requests)} - {""}
    accession = facts(notice)["accession_number"]
    same_order = bool(accession) and accession in {text(request, "AccessionNumber") for request in requests}
    return notice.study_instance_uid in studies or (same_order and not studies)


def _raise(association: Association, notice: Notice, item: Json) -> str:
    """A claimed item is its reader's; an item that is as urgent already stays as it is."""
    uid, state = text(item, "SOPInstanceUID"), text(item, "ProcedureStepState")
    if state in FINAL:
        return f"work item {uid} is already {state}"
    if state == State.IN_PROGRESS:
        return f"work item {uid} is claimed by a reader, left as it is"
    priority = text(item, "ScheduledProcedureStepPriority")
    if priority in tuple(Priority) and not Priority(notice.priority).above(Priority(priority)):
        return f"work item {uid} is {priority} already"
    status, _ = association.send_n_set(
        to_dataset(_change(notice)), UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull
    )
    code = status.get("Status")
    if code in _SETTLED:
        return f"work item {uid}: {_SETTLED[code]}"
    if code not in _DONE:
        raise _broken(code, "N-SET")
    return f"work item {uid} set to {notice.priority}"


def _change(notice: Notice) -> Json:
    """The Modification List; no Transaction UID, for nobody has claimed the item (CC.2.6.2)."""
    change: Json = {}
    put(change, "ScheduledProcedureStepPriority", notice.priority)
    return change


def _create(association: Association, notice: Notice) -> str:
    uid = notice.work_item_uid
    status, _ = association.send_n_create(to_dataset(_creation(notice)), UnifiedProcedureStepPush, uid)
    code = status.get("Status")
    if code == Status.DUPLICATE_INSTANCE:  # made before, by an attempt whose response did not reach us
        return f"work item {uid} is there already"
    if code not in _DONE:
        raise _broken(code, "N-CREATE")
    return f"work item {uid} made, {notice.priority}"


def _creation(notice: Notice) -> Json:
    """Our own item as an Attribute List: SCHEDULED, complete by Table CC.2.5-3, without what the SCP sets itself."""
    attributes = {tag: entry for tag, entry in notice.attributes.items() if tag not in _NOT_SENT}
    for requirement in REQUIREMENTS:
        if requirement.create in "-S":
            attributes.pop(tag_of(requirement.keyword), None)
        elif requirement.create in "20" and (
            tag_of(requirement.keyword) not in attributes or requirement.create == "0"
        ):
            put(attributes, requirement.keyword)
    put(attributes, "ScheduledProcedureStepPriority", notice.priority)
    put(attributes, "ProcedureStepState", State.SCHEDULED.value)
    return dict(sorted(attributes.items()))


def _broken(code: int | None, operation: str) -> NotTaken | NotAccepted:
    if code is None:
        return SinkUnreachable(f"{operation} was not answered")
    error = NotAccepted if code in _REFUSALS else NotTaken
    return error(f"{operation} was answered with status 0x{code:04X}")


@register("ups", UpsSink, required=False)  # the node's own SCP needs no message
def make(table: UpsSink, settings: Settings, on_query: OnQuery) -> Ups:
    """The sink of `[worklist.ups]`."""
    return Ups(Requestor.of(settings), settings.peers[table.peer], on_query)
