"""The SCP: C-ECHO, C-STORE, and the worklist's services on the same port. Success is said only of what is safe."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

from pynetdicom import AE, Association, evt
from pynetdicom.events import Event

from node import commitment
from node.admin.metrics import Metrics
from node.admission.control import Door, Doorkeeper, TurnedAway, handler
from node.admission.policy import RIGHTS, Right
from node.admission.tallies import Sender
from node.audit import Recorder
from node.dicom.contexts import scp_contexts
from node.dicom.dimse import StoreRequest
from node.dispatch.completeness import ABORTED, RELEASED
from node.errors import ConfigurationError
from node.receiving.c_store import NOT_UNDERSTOOD, SUCCESS, Receiver
from node.settings import Settings
from node.upperlayer.acceptor import SharedContexts
from node.worklist.reading.data_set import Station
from node.worklist.ups import scp
from node.worklist.ups.watch import Watching

_UNLIMITED = 1 << 20
_ENDS = evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE


def start(receiver: Receiver, audit: Recorder | None = None, metrics: Metrics | None = None) -> Door:
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
        The address cannot be listened on, or the certificates cannot be used.
    """
    settings, node = receiver.settings, receiver.settings.node
    audit = audit or Recorder(settings, receiver.ledger)
    keeper = Doorkeeper(settings, _turned_away(audit, metrics))
    ae = AE(node.ae_title)
    ae.maximum_associations = _UNLIMITED  # whom the door has let in has a seat
    ae.maximum_pdu_size = node.max_pdu
    ae.network_timeout = ae.dimse_timeout = node.network_timeout
    ae.acse_timeout = settings.limits.request_seconds
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_C_STORE, on_c_store, [receiver]),
        *(_counting(metrics) if metrics else ()),
        *((event, on_ended, [receiver]) for event in _ENDS),
        *commitment.handlers(
            receiver,
            scp.handlers(
                receiver.ledger, station(settings), watching(settings),
                may=_may(receiver, audit), on_query=lambda event: on_c_find(event, audit),
            ),
        ),
    ]  # fmt: skip
    try:
        server: Door = ae.make_server(
            (node.host, node.port),
            server_class=Door,
            evt_handlers=handlers,
            contexts=[*scp_contexts(), *scp.contexts(), *commitment.contexts()],
            request_handler=handler(
                keeper, receiver.begin, settings.limits, lambda association: end(association, receiver, ABORTED)
            ),
        )
    except OSError as error:
        message = f"node.host and node.port: {node.host}:{node.port} cannot be listened on: {error.strerror}"
        raise ConfigurationError(message) from error
    server.contexts, server.keeper = SharedContexts(server.contexts), keeper
    ae._servers.append(server)  # where `server.shutdown` looks for it
    threading.Thread(target=server.serve_forever, name="scp", daemon=True).start()
    return server


def _counting(metrics: Metrics) -> list[Any]:
    return [
        (evt.EVT_ESTABLISHED, lambda event: metrics.opened(event.assoc)),
        *((event, lambda event: metrics.ended(event.assoc)) for event in _ENDS),
    ]


def _turned_away(audit: Recorder, metrics: Metrics | None) -> TurnedAway:
    def tell(ae_title: str, address: str, reason: str) -> None:
        audit.rejected(ae_title, address, reason)
        if metrics:
            metrics.rejected()

    return tell


def _may(receiver: Receiver, audit: Recorder) -> scp.May:
    def may(association: Association, right: Right) -> bool:
        allowed = receiver.callers.may(association, right)
        if not allowed:
            requestor = association.requestor
            audit.forbidden(Sender(requestor.ae_title, requestor.address), f"its table has no {RIGHTS[right][0]}")
        return allowed

    return may


def on_c_store(event: Event, receiver: Receiver) -> int:
    """Keep one instance whose command pynetdicom has read; the returned status is what the peer sees."""
    said = event.request
    request = StoreRequest(
        said.MessageID, str(said.AffectedSOPClassUID), str(said.AffectedSOPInstanceUID), said.Priority or 0
    )
    reception = receiver.begin(event.assoc, request, event.context.context_id)
    if reception is None:
        return NOT_UNDERSTOOD
    with closing(reception):
        reception.write(memoryview(event.encoded_dataset(include_meta=False)))
        return reception.finish()


def on_ended(event: Event, receiver: Receiver) -> None:
    """An association is over."""
    end(event.assoc, receiver, RELEASED if event.event is evt.EVT_RELEASED else ABORTED)


def end(association: Association, receiver: Receiver, how: str) -> None:
    """An association is over; only the first word of it counts."""
    receiver.senders.end(association, how)
    receiver.tallies.end(association)


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
    """Who may be subscribed to the worklist: the peers that may read it."""
    readers = {peer.ae_title for peer in settings.peers_that(lambda peer: "read" in peer.worklist).values()}
    return Watching(readers.__contains__, settings.worklist.deletion_locks)
