"""The SCP: C-ECHO, C-STORE, and the worklist's services on the same port. Success only for what is durable."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

from pynetdicom import AE, Association, evt
from pynetdicom.events import Event

from node import commitment
from node.admission.associations import ABORTED, RELEASED, session_of
from node.admission.control import AssociationListener
from node.admission.policy import RIGHTS, Right
from node.audit import Recorder
from node.dicom.contexts import scp_contexts
from node.dicom.dimse import StoreRequest
from node.errors import ConfigurationError
from node.receiving.c_store import NOT_UNDERSTOOD, SUCCESS, Receiver
from node.settings import Settings
from node.worklist.reading.data_set import Station
from node.worklist.ups import scp
from node.worklist.ups.watch import Watching

_UNLIMITED = 1 << 20
_ENDS = evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE


def start(receiver: Receiver, audit: Recorder | None = None) -> AssociationListener:
    """Listen for associations in a background thread; `server.shutdown()` ends it.

    Parameters
    ----------
    audit
        Records rejected associations, and queries.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on, or the certificates cannot be used.
    """
    settings, node, registry = receiver.settings, receiver.settings.node, receiver.associations
    audit = audit or Recorder(settings, receiver.ledger)
    registry.subscribe(rejected=audit.rejected)
    ae = AE(node.ae_title)
    ae.maximum_associations = _UNLIMITED  # whoever is admitted has a slot
    ae.maximum_pdu_size = node.max_pdu
    ae.network_timeout = ae.dimse_timeout = node.network_timeout
    ae.acse_timeout = settings.limits.request_seconds
    handlers: list[Any] = [
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_C_STORE, on_c_store, [receiver]),
        (evt.EVT_ESTABLISHED, lambda event: registry.established(session_of(event.assoc))),
        *((event, on_ended, [receiver]) for event in _ENDS),
        *commitment.handlers(
            receiver,
            scp.handlers(
                receiver.ledger, station(settings), watching(settings),
                may=_may(receiver, audit), on_query=lambda event: on_query(event, audit),
                most_items=settings.limits.work_items_per_peer,
            ),
        ),
    ]  # fmt: skip
    contexts = [*scp_contexts(), *scp.contexts(), *commitment.contexts()]
    try:
        server = AssociationListener(ae, contexts, handlers, receiver.begin, settings, registry)
    except OSError as error:
        message = f"node.host and node.port: {node.host}:{node.port} cannot be listened on: {error.strerror}"
        raise ConfigurationError(message) from error
    threading.Thread(target=server.serve_forever, name="scp", daemon=True).start()
    return server


def _may(receiver: Receiver, audit: Recorder) -> scp.May:
    def may(association: Association, right: Right) -> bool:
        caller = session_of(association).caller
        allowed = receiver.policy.may(caller, right)
        if not allowed:
            audit.forbidden(caller, f"its table has no {RIGHTS[right][0]}")
        return allowed

    return may


def on_c_store(event: Event, receiver: Receiver) -> int:
    """Keep one instance whose command pynetdicom has read; the returned status is what the peer gets."""
    asked = event.request
    request = StoreRequest(
        asked.MessageID, str(asked.AffectedSOPClassUID), str(asked.AffectedSOPInstanceUID), asked.Priority or 0
    )
    operation = receiver.begin(event.assoc, request, event.context.context_id)
    if operation is None:
        return NOT_UNDERSTOOD
    with closing(operation):
        operation.write(memoryview(event.encoded_dataset(include_meta=False)))
        return operation.finish()


def on_ended(event: Event, receiver: Receiver) -> None:
    """An association is over."""
    how = RELEASED if event.event is evt.EVT_RELEASED else ABORTED
    receiver.associations.end(session_of(event.assoc), how)


def on_query(event: Event, audit: Recorder) -> None:
    """A peer queries (C-FIND), or reads one work item (N-GET)."""
    context, request = event.context, event.request
    identifier = getattr(request, "Identifier", None)
    keys = identifier.getvalue() if identifier else str(getattr(request, "RequestedSOPInstanceUID", "")).encode()
    caller = session_of(event.assoc).caller
    audit.was_asked(caller, str(context.abstract_syntax), keys, str(context.transfer_syntax))


def station(settings: Settings) -> Station:
    """What work items state about this node: images are retrieved from the peer that answers queries, if any."""
    archives = settings.peers_that(lambda peer: peer.query)
    retrieve_ae_title = next((peer.ae_title for peer in archives.values()), "")
    return Station(retrieve_ae_title, policy=settings.worklist.policy)


def watching(settings: Settings) -> Watching:
    """Who may be subscribed to the worklist: the peers that may read it."""
    readers = {peer.ae_title for peer in settings.peers_that(lambda peer: "read" in peer.worklist).values()}
    return Watching(readers.__contains__, settings.worklist.deletion_locks)
