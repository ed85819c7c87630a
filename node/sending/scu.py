"""C-ECHO, C-STORE and C-FIND as SCU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import Association, build_context, build_role
from pynetdicom.dsutils import encode
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.dicom.contexts import PLAIN_TRANSFER_SYNTAXES
from node.dicom.dimse import is_performed
from node.dicom.part10 import Part10, read_part10
from node.errors import ConfigurationError, NothingAccepted, NotRecognized, PeerError, UnreadableInstance
from node.sending.c_store import Outgoing, outgoing
from node.settings import Peer, Settings, Tls
from node.tls.renewal import renewed_client_context
from node.upperlayer.requestor import RequestedAssociation, RequestingAE

MOST_CONTEXTS = 128  # presentation contexts of one association, PS3.8 9.3.2.2: odd numbers 1 to 255
_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
_OUT_OF_RESOURCES = 0xA700  # to 0xA7FF, PS3.4 B.2.3
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Requestor:
    """Our AE title and certificate for the associations that we open, and how long each may take (None: no limit)."""

    ae_title: str
    tls: Tls | None = None
    seconds: float | None = None

    @staticmethod
    def of(settings: Settings) -> Requestor:
        """The node as its settings have it."""
        return Requestor(settings.node.ae_title, settings.node.tls, settings.limits.requested_minutes * 60)


@dataclass(frozen=True, slots=True)
class SendResult:
    """How one C-STORE ended; `error` is empty for a status that means stored (0x0000, 0xB0xx, PS3.4 B.2.3).

    `refused`: the peer does not take this SOP class (no presentation context, or status 0x0122, PS3.7 C.5.6).
    `peer_failed`: the peer did not answer, or is out of resources; with another object it would be no different.
    """

    path: Path
    error: str
    refused: bool = False
    peer_failed: bool = False


@contextmanager
def associate(
    requestor: Requestor,
    peer: Peer,
    contexts: Sequence[PresentationContext],
    scp_of: Sequence[str] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Iterator[Association]:
    """An association with `peer`, released at the end, aborted on an error.

    Parameters
    ----------
    scp_of
        SOP classes in which we are the SCP, though we open the association (PS3.7 D.3.3.4).
    handlers
        pynetdicom's events and our functions, for the peer's requests over it.

    Raises
    ------
    PeerError
        It was not established; the text gives the reason and what to check. NothingAccepted: only the presentation
        contexts were not accepted.
    """
    ae = RequestingAE(requestor.ae_title)
    ae.connection_timeout, ae.association_seconds = _CONNECT_SECONDS, requestor.seconds
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _ANSWER_SECONDS
    where = f"{peer.ae_title}@{peer.host}:{peer.port}"
    arguments = _tls_arguments(requestor, peer)
    roles = [build_role(sop_class, scp_role=True) for sop_class in scp_of]
    try:
        association = ae.associate(
            peer.host, peer.port, contexts, peer.ae_title, tls_args=arguments, ext_neg=roles, evt_handlers=handlers
        )  # fmt: skip
    except OSError as error:  # socket.gaierror
        raise PeerError(f"{where}: the host name {peer.host} cannot be resolved") from error
    if not association.is_established:
        raise _why_not(association, requestor, peer, where)
    try:
        yield association
        if association.is_established:
            association.release()
    except BaseException:
        association.abort()
        raise
    finally:
        association.limit(None)


def _tls_arguments(requestor: Requestor, peer: Peer) -> tuple[object, str] | None:
    if not peer.tls:
        return None
    if requestor.tls is None:
        raise ConfigurationError("a peer has tls = true, but [node] tls names no certificate")
    return renewed_client_context(requestor.tls).context(), peer.host


def _why_not(association: RequestedAssociation, requestor: Requestor, peer: Peer, where: str) -> PeerError:
    if association.cut_reason:
        return PeerError(f"{where}: {association.cut_reason}")
    if association.is_rejected:
        response = association.acceptor.primitive
        reason = getattr(response, "reason_str", "") if response else ""
        message = f"{where} rejected the association of {requestor.ae_title}: {reason or 'no reason given'}"
        if "alling" in reason:
            return NotRecognized(f"{message}; it must know this AE title, or call with one that it knows (send: --as)")
        return PeerError(message)
    if association.acceptor.primitive is not None:
        return NothingAccepted(f"{where} accepted none of the presentation contexts")
    tls = ", do both sides speak TLS with certificates of one authority" if peer.tls else ""
    return PeerError(f"{where} cannot be reached: is it running, are host, port and firewall right{tls}?")


def echo(requestor: Requestor, peer: Peer) -> None:
    """C-ECHO (PS3.4 Annex A); PeerError if it is not answered with Success."""
    with associate(requestor, peer, [build_context(Verification)]) as association:
        status = association.send_c_echo().get("Status")
    if status != 0:
        raise PeerError(f"{peer.ae_title} answered C-ECHO with {_hex(status)}")


def accepted(requestor: Requestor, peer: Peer, sop_classes: Iterable[UID]) -> frozenset[str]:
    """Which of the SOP classes the peer accepts (none: an empty set, though it answers)."""
    contexts = [build_context(uid, list(PLAIN_TRANSFER_SYNTAXES)) for uid in (Verification, *sop_classes)]
    with associate(requestor, peer, contexts) as association:
        return frozenset(str(context.abstract_syntax) for context in association.accepted_contexts)


def count_instances(requestor: Requestor, peer: Peer, study_instance_uid: str) -> int | None:
    """The peer's Number of Study Related Instances (0020,1208) by C-FIND; None where it returns none.

    Raises
    ------
    PeerError
        It cannot be queried, or answers with a failure status.
    """
    query = _count_keys(study_instance_uid)
    count = None
    with associate(requestor, peer, [build_context(StudyRootQueryRetrieveInformationModelFind)]) as association:
        for identifier in find(association, query):
            value = identifier.get("NumberOfStudyRelatedInstances")
            count = int(value) if value not in (None, "") else count
    return count


def find(association: Association, query: Dataset) -> Iterator[Dataset]:
    """The matches of a Study Root C-FIND (PS3.4 C.4.1).

    Raises
    ------
    PeerError
        The peer answered with a failure status, or not at all.
    """
    for status, identifier in association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if code not in (0x0000, 0xFF00, 0xFF01):  # PS3.4 C.4.1.1.4
            raise PeerError(f"{association.acceptor.ae_title} answered C-FIND with {_hex(code)}")
        if identifier is not None:
            yield identifier


def study_query(study_instance_uid: str) -> tuple[str, bytes, str]:
    """The query of `count_instances` as `encoded_query` has it."""
    return encoded_query(_count_keys(study_instance_uid))


def encoded_query(query: Dataset) -> tuple[str, bytes, str]:
    """A Study Root query for the audit trail: SOP Class UID, Identifier, its transfer syntax."""
    keys = encode(query, is_implicit_vr=True, is_little_endian=True) or b""
    return str(StudyRootQueryRetrieveInformationModelFind), keys, str(ImplicitVRLittleEndian)


def _count_keys(study_instance_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    query.NumberOfStudyRelatedInstances = None
    return query


def store(
    requestor: Requestor, peer: Peer, paths: Sequence[Path], done: Callable[[SendResult], None] = lambda _outcome: None
) -> tuple[SendResult, ...]:
    """C-STORE files as they are, over one association (more where they need over 128 presentation contexts).

    A peer that cannot be reached or leaves early is an outcome of the files that it did not get, not an exception.

    Parameters
    ----------
    done
        Called after each file.
    """
    outcomes: list[SendResult] = []
    for contexts, batch in _batches(paths, outcomes):
        left = list(batch)
        try:
            with associate(requestor, peer, contexts) as association, outgoing(association) as sender:
                while left:
                    outcomes.append(_store_one(sender, left.pop(0)))
                    done(outcomes[-1])
        except NothingAccepted as error:
            outcomes.extend(SendResult(file.path, str(error), refused=True) for file in left)
        except PeerError as error:
            outcomes.extend(SendResult(file.path, str(error), peer_failed=True) for file in left)
    return tuple(outcomes)


def _store_one(sender: Outgoing, file: Part10) -> SendResult:
    try:
        status = sender.store(file)
    except NothingAccepted:
        what = f"{UID(file.sop_class_uid).name}, {UID(file.transfer_syntax_uid).name}"
        return SendResult(file.path, f"the peer does not accept it: no presentation context for {what}", refused=True)
    except UnreadableInstance as error:
        return SendResult(file.path, f"the file cannot be read: {error}")
    except PeerError as error:
        return SendResult(file.path, str(error), peer_failed=True)
    if is_performed(status):
        return SendResult(file.path, "")
    return SendResult(
        file.path,
        f"the peer refused it with {_hex(status)}",
        refused=status == _CLASS_NOT_SUPPORTED,
        peer_failed=status & 0xFF00 == _OUT_OF_RESOURCES,
    )


def _batches(
    paths: Sequence[Path], unreadable: list[SendResult]
) -> Iterator[tuple[list[PresentationContext], list[Part10]]]:
    """Split files so that each part needs no more presentation contexts than an association can hold."""
    contexts: dict[tuple[str, str], PresentationContext] = {}
    batch: list[Part10] = []
    for path in paths:
        try:
            file = read_part10(path)
            if not (file.sop_class_uid and file.sop_instance_uid and file.transfer_syntax_uid):
                raise UnreadableInstance("its File Meta Information lacks a UID")
        except UnreadableInstance as error:
            unreadable.append(SendResult(path, f"the file cannot be read: {error}"))
            continue
        need = (file.sop_class_uid, file.transfer_syntax_uid)
        if need not in contexts and len(contexts) == MOST_CONTEXTS:
            yield list(contexts.values()), batch
            contexts, batch = {}, []
        if need not in contexts:
            contexts[need] = build_context(*need)
        batch.append(file)
    if batch:
        yield list(contexts.values()), batch


def _hex(status: int | None) -> str:
    return "no status" if status is None else f"status 0x{status:04X}"
