"""What we ask of peers: C-ECHO, C-STORE, C-FIND."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, Association, _config, build_context, build_role
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.contexts import PLAIN_TRANSFER_SYNTAXES
from node.errors import ConfigurationError, NothingAccepted, PeerError
from node.settings import Peer, Tls
from node.tls import client_context

_config.STORE_SEND_CHUNKED_DATASET = True  # files go out as they are, never decoded and encoded again

MOST_CONTEXTS = 128  # presentation contexts of one association, PS3.8 9.3.2.2: odd numbers 1 to 255
_UNREADABLE = (OSError, EOFError, InvalidDicomError, AttributeError)
_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Requestor:
    """Who we are when we open an association."""

    ae_title: str
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one C-STORE ended; `error` is empty for a status that means stored (0x0000, 0xB0xx, PS3.4 B.2.3).

    `refused`: the peer does not take this SOP class (no presentation context, or status 0x0122, PS3.7 C.5.6).
    """

    path: Path
    error: str
    refused: bool = False


@contextmanager
def associate(
    requestor: Requestor, peer: Peer, contexts: Sequence[PresentationContext], scp_of: Sequence[str] = ()
) -> Iterator[Association]:
    """An association with `peer`, released at the end, aborted on an error.

    Parameters
    ----------
    scp_of
        SOP classes in which we are the SCP, though we open the association (PS3.7 D.3.3.4).

    Raises
    ------
    PeerError
        It was not established; the text says why and what to look at. NothingAccepted: it would have been, but for the
        presentation contexts.
    """
    ae = AE(requestor.ae_title)
    ae.connection_timeout = _CONNECT_SECONDS
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _ANSWER_SECONDS
    where = f"{peer.ae_title}@{peer.host}:{peer.port}"
    arguments = _tls_arguments(requestor, peer)
    roles = [build_role(sop_class, scp_role=True) for sop_class in scp_of]
    try:
        association = ae.associate(
            peer.host, peer.port, list(contexts), ae_title=peer.ae_title, tls_args=arguments, ext_neg=roles
        )
    except OSError as error:  # socket.gaierror
        raise PeerError(f"{where}: the host name {peer.host} cannot be resolved") from error
    if not association.is_established:
        raise _why_not(association, requestor, peer, where)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def _tls_arguments(requestor: Requestor, peer: Peer) -> tuple[object, str] | None:
    if not peer.tls:
        return None
    if requestor.tls is None:
        raise ConfigurationError("a peer has tls = true, but [node] tls names no certificate")
    return client_context(requestor.tls), peer.host


def _why_not(association: Association, requestor: Requestor, peer: Peer, where: str) -> PeerError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = getattr(answer, "reason_str", "") if answer else ""
        hint = "; it must know this AE title, or call with one that it knows (send: --as)" if "alling" in reason else ""
        said = reason or "no reason given"
        return PeerError(f"{where} rejected the association of {requestor.ae_title}: {said}{hint}")
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
    """The peer's Number of Study Related Instances (0020,1208) by C-FIND; None where it does not say.

    Raises
    ------
    PeerError
        It cannot be asked, or answers with a failure status.
    """
    query, model = _count_keys(study_instance_uid), StudyRootQueryRetrieveInformationModelFind
    count = None
    with associate(requestor, peer, [build_context(model)]) as association:
        for status, identifier in association.send_c_find(query, model):
            code = status.get("Status")
            if code not in (0x0000, 0xFF00, 0xFF01):  # PS3.4 C.4.1.1.4
                raise PeerError(f"{peer.ae_title} answered C-FIND with {_hex(code)}")
            if identifier is not None:
                value = identifier.get("NumberOfStudyRelatedInstances")
                count = int(value) if value not in (None, "") else count
    return count


def study_query(study_instance_uid: str) -> tuple[str, bytes, str]:
    """What `count_instances` asks, as the audit trail tells it: SOP Class UID, Identifier, its transfer syntax."""
    keys = encode(_count_keys(study_instance_uid), is_implicit_vr=True, is_little_endian=True) or b""
    return str(StudyRootQueryRetrieveInformationModelFind), keys, str(ImplicitVRLittleEndian)


def _count_keys(study_instance_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    query.NumberOfStudyRelatedInstances = None
    return query


def store(
    requestor: Requestor, peer: Peer, paths: Sequence[Path], done: Callable[[Outcome], None] = lambda _outcome: None
) -> tuple[Outcome, ...]:
    """C-STORE files as they are, over one association (more where they need over 128 presentation contexts).

    A peer that cannot be reached or leaves early is an outcome of the files that it did not get, not an exception.

    Parameters
    ----------
    done
        Called after each file.
    """
    outcomes: list[Outcome] = []
    for contexts, batch in _batches(paths, outcomes):
        left = list(batch)
        try:
            with associate(requestor, peer, contexts) as association:
                while left:
                    outcomes.append(_store_one(association, left.pop(0)))
                    done(outcomes[-1])
        except NothingAccepted as error:
            outcomes.extend(Outcome(path, str(error), refused=True) for path in left)
        except PeerError as error:
            outcomes.extend(Outcome(path, str(error)) for path in left)
    return tuple(outcomes)


def _store_one(association: Association, path: Path) -> Outcome:
    if not association.is_established:
        return Outcome(path, "the peer ended the association")
    try:
        status = association.send_c_store(path).get("Status")
    except ValueError as error:  # pynetdicom: no accepted context for the file's class and syntax
        return Outcome(path, f"the peer does not accept it: {error}", refused=True)
    except _UNREADABLE as error:
        return Outcome(path, f"the file cannot be read: {error}")
    if status is None:
        association.abort()  # else the next file would wait for an answer until the timeout
        return Outcome(path, "the peer did not answer")
    if status == 0 or status & 0xFF00 == 0xB000:
        return Outcome(path, "")
    return Outcome(path, f"the peer refused it with {_hex(status)}", refused=status == _CLASS_NOT_SUPPORTED)


def _batches(
    paths: Sequence[Path], unreadable: list[Outcome]
) -> Iterator[tuple[list[PresentationContext], list[Path]]]:
    """Split files so that each part needs no more presentation contexts than an association can hold."""
    contexts: dict[tuple[str, str], PresentationContext] = {}
    batch: list[Path] = []
    for path in paths:
        try:
            meta = read_file_meta_info(path)
            need = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        except _UNREADABLE as error:
            unreadable.append(Outcome(path, f"the file cannot be read: {error}"))
            continue
        if need not in contexts and len(contexts) == MOST_CONTEXTS:
            yield list(contexts.values()), batch
            contexts, batch = {}, []
        contexts.setdefault(need, build_context(*need))
        batch.append(path)
    if batch:
        yield list(contexts.values()), batch


def _hex(status: int | None) -> str:
    return "no status" if status is None else f"status 0x{status:04X}"
