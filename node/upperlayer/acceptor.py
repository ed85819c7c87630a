"""Associations that peers open with us: the listener that accepts them, and what each is for pynetdicom."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket, ThreadedAssociationServer

from node.settings.limits import Limits
from node.upperlayer.pdu import put_layer
from node.upperlayer.streaming import Receive, StreamingLayer


def accepted_context(association: Association, context_id: int) -> PresentationContext | None:
    """The presentation context that was accepted under an ID; None where there is none."""
    return association._accepted_cx.get(context_id)


class AcceptorServer(ThreadedAssociationServer):  # type: ignore[misc]
    """A listener; its request handler makes an `AcceptedAssociation` of each connection that it accepts.

    Parameters
    ----------
    receive, limits
        As for the `StreamingLayer` of each association.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        contexts: Sequence[PresentationContext],
        handlers: Sequence[EventHandlerType],
        request_handler: Callable[..., object],
        receive: Receive,
        limits: Limits,
    ) -> None:
        super().__init__(
            ae, address, ae.ae_title, list(contexts), evt_handlers=handlers, request_handler=request_handler
        )
        self.receive, self.limits = receive, limits
        ae._servers.append(self)  # where `shutdown` looks for it

    def over(self, association: AcceptedAssociation) -> None:
        """An association is over, and its connection closed; called in its upper layer's thread."""


class AcceptedAssociation(Association):  # type: ignore[misc]
    """An association that a peer opens with us; all of a server share its presentation contexts.

    Attributes
    ----------
    session
        What the server knows of it.
    """

    def __init__(self, server: AcceptorServer, sock: socket.socket, address: tuple[Any, ...], session: object) -> None:
        super().__init__(server.ae, "acceptor")
        self._server, self.session = server, session
        self._follow_ups: list[Callable[[], object]] = []
        self.name = "AcceptorThread"  # by which pynetdicom finds those of a server
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        put_layer(self, StreamingLayer(self, server.receive, server.limits, partial(server.over, self)))
        self.dul.connection = sock
        self.set_socket(AssociationSocket(self, client_socket=sock))
        self._describe(server, address)
        for event in server.get_events():
            handlers = server.get_handlers(event)
            for handler in [handlers] if event.is_intervention else handlers:
                self.bind(event, *handler)

    def _describe(self, server: AcceptorServer, address: tuple[Any, ...]) -> None:
        ae, acceptor = server.ae, self.acceptor
        acceptor.ae_title, acceptor.maximum_length = server.ae_title, ae.maximum_pdu_size
        acceptor.implementation_class_uid = ae.implementation_class_uid
        acceptor.implementation_version_name = ae.implementation_version_name
        acceptor.supported_contexts = server.contexts
        acceptor.address_info = AddressInformation.from_tuple(server.server_address)
        self.requestor.address_info = AddressInformation.from_tuple(address)

    def begin(self, request: bytes) -> None:
        """Start with an A-ASSOCIATE-RQ that was read before."""
        self.dul.requested(request)
        self.start()

    def follow_up(self, work: Callable[[], object]) -> None:
        """Have `work` done in this association's thread as soon as the message that it serves now is answered."""
        self._follow_ups.append(work)

    def serve(self, message: object, context_id: int) -> None:
        """Serve one message, without what is to follow it."""
        super()._serve_request(message, context_id)

    def _serve_request(self, message: object, context_id: int) -> None:
        self.serve(message, context_id)
        while self._follow_ups:
            self._follow_ups.pop(0)()
