"""Associations that peers open with us."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket, ThreadedAssociationServer

from node.upperlayer.pdu import put_layer
from node.upperlayer.streaming import StreamingLayer


def accepted_context(association: Association, context_id: int) -> PresentationContext | None:
    """The presentation context that was accepted under an ID; None where there is none."""
    return association._accepted_cx.get(context_id)


def register(server: ThreadedAssociationServer) -> None:
    """Have the server end with its AE."""
    server.ae._servers.append(server)


class AcceptedAssociation(Association):  # type: ignore[misc]
    """An association that a peer opens with us; all of a server share its presentation contexts.

    Parameters
    ----------
    session
        What the server knows of it; an attribute for those who serve it.
    make_layer
        Makes the upper layer of an association.
    """

    def __init__(
        self,
        server: ThreadedAssociationServer,
        sock: socket.socket,
        address: tuple[Any, ...],
        session: object,
        make_layer: Callable[[Association], StreamingLayer],
    ) -> None:
        super().__init__(server.ae, "acceptor")
        self._server, self.session = server, session
        self._follow_ups: list[Callable[[], object]] = []
        self.name = "AcceptorThread"  # by which pynetdicom finds those of a server
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        put_layer(self, make_layer(self))
        self.set_socket(AssociationSocket(self, client_socket=sock))
        self.requestor.address_info = AddressInformation.from_tuple(address)
        self.acceptor.address_info = AddressInformation.from_tuple(server.server_address)
        self.acceptor.ae_title, self.acceptor.maximum_length = server.ae_title, server.ae.maximum_pdu_size
        self.acceptor.implementation_version_name = server.ae.implementation_version_name
        self.acceptor.supported_contexts = server.contexts
        for event in server.get_events():
            handlers = server.get_handlers(event)
            for handler in [handlers] if event.is_intervention else handlers:
                self.bind(event, *handler)

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
