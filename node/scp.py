"""The SCP: C-ECHO, C-STORE, and the worklist's services on the same port. Success is said only of what is safe."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import structlog
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from node import studies
from node.contexts import scp_contexts
from node.errors import ConfigurationError, OutOfResources, Refused
from node.identity import identify
from node.intake import ABORTED, RELEASED
from node.ledger import Ledger
from node.senders import Senders
from node.settings import Settings
from node.store import Store
from node.tls import server_context
from node.turns import BY_DIMSE_PRIORITY, MEDIUM
from node.worklist import items, ups
from node.worklist.reading import Station
from node.worklist.watch import Watching

_log = structlog.get_logger(__name__)
_SUCCESS, _NOT_AUTHORIZED, _PROCESSING_FAILURE = 0x0000, 0x0124, 0x0110  # PS3.7 C.1, C.4.12, C.4.14
_PREAMBLE = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class Receiver:
    """The parts that receiving an instance needs."""

    settings: Settings
    ledger: Ledger
    store: Store
    senders: Senders


def start(receiver: Receiver) -> ThreadedAssociationServer:
    """Listen for associations in a background thread; `server.shutdown()` ends it.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on.
    """
    node = receiver.settings.node
    ae = AE(node.ae_title)
    ae.maximum_associations = node.max_associations
    ae.maximum_pdu_size = node.max_pdu
    ae.network_timeout = ae.dimse_timeout = node.network_timeout
    ae.require_called_aet = True
    ae.require_calling_aet = _callers(receiver.settings)
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _event: _SUCCESS),
        (evt.EVT_C_STORE, on_c_store, [receiver]),
        (evt.EVT_REJECTED, on_rejected, [receiver.settings]),
        *((event, on_ended, [receiver.senders]) for event in (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)),
        *ups.handlers(receiver.ledger, station(receiver.settings), watching(receiver.settings)),
    ]
    try:
        server = ae.start_server(
            (node.host, node.port),
            block=False,
            ssl_context=server_context(node.tls) if node.tls else None,
            evt_handlers=handlers,
            contexts=[*scp_contexts(), *ups.contexts()],
        )
    except OSError as error:
        message = f"node.host and node.port: {node.host}:{node.port} cannot be listened on: {error.strerror}"
        raise ConfigurationError(message) from error
    if server is None:
        raise ConfigurationError("pynetdicom did not start the server")
    return server


def on_c_store(event: Event, receiver: Receiver) -> int:
    """Keep one instance; the returned status is what the peer sees (PS3.4 Table B.2-1)."""
    calling_ae_title = event.assoc.requestor.ae_title
    if not _may_send(receiver.settings, calling_ae_title):
        _log.warning("instance refused", peer=calling_ae_title, reason="this peer has no send = ['images']")
        return _NOT_AUTHORIZED
    try:
        _keep(event, receiver, calling_ae_title)
    except Refused as refused:
        log = _log.error if isinstance(refused, OutOfResources) else _log.warning
        log("instance refused", peer=calling_ae_title, status=f"0x{refused.status:04X}", reason=str(refused))
        return refused.status
    except Exception:  # noqa: BLE001  # outermost: a bug of ours is said, and is no Success
        _log.exception("instance refused", peer=calling_ae_title, status=f"0x{_PROCESSING_FAILURE:04X}")
        return _PROCESSING_FAILURE
    return _SUCCESS


def _keep(event: Event, receiver: Receiver, calling_ae_title: str) -> None:
    request = event.request
    dataset = event.encoded_dataset(include_meta=False)
    syntax = UID(event.context.transfer_syntax)
    key = identify(dataset, syntax, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    receiver.senders.brought(event.assoc, key.study_instance_uid)
    meta = _PREAMBLE + encode_file_meta(event.file_meta)
    stored = receiver.store.write(key, str(syntax), meta, dataset)
    with receiver.ledger.write() as connection:
        rank = BY_DIMSE_PRIORITY.get(request.Priority, MEDIUM)
        recorded = studies.record_instance(connection, stored, calling_ae_title, now := time.time(), rank)
        if recorded.reopened:
            items.set_ready(connection, key.study_instance_uid, now, ready=False)
    names = {"study": key.study_instance_uid, "instance": key.sop_instance_uid, "peer": calling_ae_title}
    if recorded.conflict:
        _log.warning("same UID with other content, kept beside", **names)
    elif recorded.elsewhere:
        _log.warning("same UID as an instance of another study, both kept", **names)
    else:
        _log.debug("instance stored", new=recorded.new, **names)


def on_rejected(event: Event, settings: Settings) -> None:
    """Say whom we did not let in, and what would let them in."""
    requestor, node = event.assoc.requestor, settings.node
    if requestor.primitive.called_ae_title != node.ae_title:
        hint = f"it must call us by node.ae_title = {node.ae_title}"
    elif requestor.ae_title not in (known := _callers(settings)) and known:
        hint = "name its AE title in a [peers.…] table"
    else:
        hint = f"node.max_associations = {node.max_associations} are open already; it may try again"
    _log.warning("association rejected", peer=requestor.ae_title, address=requestor.address, hint=hint)


def on_ended(event: Event, senders: Senders) -> None:
    """An association is over."""
    senders.end(event.assoc, RELEASED if event.event is evt.EVT_RELEASED else ABORTED)


def station(settings: Settings) -> Station:
    """What work items say of us: the images are to be had from the peer that answers queries, if there is one."""
    archives = settings.peers_that(lambda peer: peer.query)
    retrieve_ae_title = next((peer.ae_title for peer in archives.values()), "")
    return Station(retrieve_ae_title, policy=settings.worklist.policy)


def watching(settings: Settings) -> Watching:
    """Who may subscribe to the worklist: the peers that we know how to reach."""
    return Watching(lambda ae_title: settings.peer_called(ae_title) is not None, settings.worklist.deletion_locks)


def _callers(settings: Settings) -> list[str]:
    """AE titles that may associate; an empty list would mean everybody to pynetdicom."""
    if settings.node.accept_unknown:
        return []
    known = sorted({peer.ae_title for peer in settings.peers.values() if not peer.folder})
    return known or [secrets.token_hex(8)]


def _may_send(settings: Settings, calling_ae_title: str) -> bool:
    tables = [peer for peer in settings.peers.values() if peer.ae_title == calling_ae_title and not peer.folder]
    return any("images" in peer.send for peer in tables) or (not tables and settings.node.accept_unknown)
