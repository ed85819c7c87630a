"""The SCP: C-ECHO, C-STORE, and the worklist's services on the same port. Success is said only of what is safe."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import structlog
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from node.audit import Recorder
from node.contexts import scp_contexts
from node.dimse import StoreRequest
from node.errors import ConfigurationError
from node.intake import ABORTED, RELEASED
from node.metrics import Metrics
from node.reception import NOT_UNDERSTOOD, SUCCESS, Receiver
from node.settings import Settings
from node.tallies import Sender
from node.tls import server_context
from node.upper_layer import request_handler
from node.worklist import ups
from node.worklist.reading import Station
from node.worklist.watch import Watching

_log = structlog.get_logger(__name__)
_ENDS = evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE


def start(
    receiver: Receiver, audit: Recorder | None = None, metrics: Metrics | None = None
) -> ThreadedAssociationServer:
    """Listen for associations in a background thread; `server.shutdown()` ends it.

    Parameters
    ----------
    audit
        Is told who was not let in, and who asked for what.
    metrics
        Counts associations.

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
    audit = audit or Recorder(receiver.settings, receiver.ledger)
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_C_STORE, on_c_store, [receiver]),
        (evt.EVT_REJECTED, on_rejected, [receiver.settings, audit]),
        *(_counting(metrics) if metrics else ()),
        *((event, on_ended, [receiver]) for event in _ENDS),
        *ups.handlers(
            receiver.ledger, station(receiver.settings), watching(receiver.settings),
            asked=lambda event: on_c_find(event, audit),
        ),
    ]  # fmt: skip
    try:
        server = ae.make_server(
            (node.host, node.port),
            server_class=ThreadedAssociationServer,
            ssl_context=server_context(node.tls, _tls_failed(audit)) if node.tls else None,
            evt_handlers=handlers,
            contexts=[*scp_contexts(), *ups.contexts()],
            request_handler=request_handler(receiver.begin),
        )
    except OSError as error:
        message = f"node.host and node.port: {node.host}:{node.port} cannot be listened on: {error.strerror}"
        raise ConfigurationError(message) from error
    ae._servers.append(server)  # where `server.shutdown` looks for it
    threading.Thread(target=server.serve_forever, name="scp", daemon=True).start()
    return server


def _counting(metrics: Metrics) -> list[Any]:
    return [
        (evt.EVT_ESTABLISHED, lambda event: metrics.opened(event.assoc)),
        (evt.EVT_REJECTED, lambda _event: metrics.rejected()),
        *((event, lambda event: metrics.ended(event.assoc)) for event in _ENDS),
    ]


def _tls_failed(audit: Recorder) -> Callable[[str, str], None]:
    return lambda address, reason: audit.rejected("", address, f"TLS failed: {reason}")


def on_c_store(event: Event, receiver: Receiver) -> int:
    """Keep one instance whose command pynetdicom has read; the returned status is what the peer sees."""
    said = event.request
    request = StoreRequest(
        said.MessageID, str(said.AffectedSOPClassUID), str(said.AffectedSOPInstanceUID), said.Priority or 0
    )
    reception = receiver.begin(event.assoc, request, event.context.context_id)
    if reception is None:
        return NOT_UNDERSTOOD
    reception.write(memoryview(event.encoded_dataset(include_meta=False)))
    return reception.finish()


def on_rejected(event: Event, settings: Settings, audit: Recorder) -> None:
    """Say whom we did not let in, and what would let them in."""
    requestor, node = event.assoc.requestor, settings.node
    if requestor.primitive.called_ae_title != node.ae_title:
        hint = f"it must call us by node.ae_title = {node.ae_title}"
    elif requestor.ae_title not in (known := _callers(settings)) and known:
        hint = "name its AE title in a [peers.…] table"
    else:
        hint = f"node.max_associations = {node.max_associations} are open already; it may try again"
    _log.warning("association rejected", peer=requestor.ae_title, address=requestor.address, hint=hint)
    audit.rejected(requestor.ae_title, requestor.address, f"association rejected: {hint}")


def on_ended(event: Event, receiver: Receiver) -> None:
    """An association is over."""
    receiver.senders.end(event.assoc, RELEASED if event.event is evt.EVT_RELEASED else ABORTED)
    receiver.tallies.end(event.assoc)


def on_c_find(event: Event, audit: Recorder) -> None:
    """Somebody asks."""
    requestor, context = event.assoc.requestor, event.context
    keys = event.request.Identifier.getvalue() if event.request.Identifier else b""
    sender = Sender(requestor.ae_title, requestor.address)
    audit.was_asked(sender, str(context.abstract_syntax), keys, str(context.transfer_syntax))


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
