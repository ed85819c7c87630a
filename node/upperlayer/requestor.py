"""Associations that we open: the AE that opens them, and their socket for a thread that needs it to itself.

pynetdicom sends a PDU as an object that is passed from thread to thread over queues polled each millisecond. Here one
thread sends and reads PDUs as bytes while pynetdicom's threads stand still; what arrives and is not for it, and the end
of the connection, goes to pynetdicom's state machine.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from threading import Lock, Timer

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import DIMSEPrimitive
from pynetdicom.dul import DULServiceProvider
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from node.errors import PeerError
from node.upperlayer.negotiation import plain_response
from node.upperlayer.pdata import HEADER, InvalidPDU
from node.upperlayer.pdu import decoded, put_layer
from node.upperlayer.socket_reader import Deadline, read_exactly, receive

LONGEST_RECEIVED = 1 << 20  # bytes of a PDU that we read; a response has about 170
_MOST_BUFFERS = 1024  # of one sendmsg: IOV_MAX
_NONE = None, None  # no message
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class AssociationEnded(PeerError):
    """The association is over, or has to be; the text gives the reason."""


class SharedLayer(DULServiceProvider):  # type: ignore[misc]
    """The upper layer of an association that we open; it leaves the socket alone while another thread holds `lock`."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.lock = Lock()

    def _is_transport_event(self) -> bool:
        with self.lock:
            received: bool = super()._is_transport_event()
        return received

    def _decode_pdu(self, bytestream: bytearray) -> tuple[object, str]:
        """As pynetdicom's, which would not read what PS3.8 wants ignored, and ends over values that are not defined."""
        kind, body = bytestream[0], bytes(bytestream[HEADER.size :])
        plain = plain_response(kind, body)
        bytestream = bytearray(HEADER.pack(kind, len(plain)) + plain)
        found: tuple[object, str] = super()._decode_pdu(bytestream)
        return found

    def hand_over(self, kind: int, body: bytes) -> None:
        """Give a whole PDU to the state machine; InvalidPDU where it is none."""
        pdu, event = decoded(self, kind, body)
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def refuse(self) -> None:
        """The peer sent no valid PDU: pynetdicom answers with A-ABORT (PS3.8 9.2, event 19)."""
        self.event_queue.put("Evt19")

    def restart_idle_timer(self) -> None:
        """The time without traffic begins anew."""
        self._idle_timer.restart()


class RequestorMessages(DIMSEServiceProvider):  # type: ignore[misc]
    """The messages of an association that we open; its loop leaves a response to the thread that waits for it.

    pynetdicom's loop, held up between its checkpoint and its look for a message, would take it for a request and drop
    it, and who sent the request would wait until the DIMSE timeout.
    """

    def get_msg(self, block: bool = False) -> tuple[int | None, DIMSEPrimitive | None]:
        """As pynetdicom's; without `block`, which is the loop, no response while another thread has paused the loop."""
        if block:
            found: tuple[int | None, DIMSEPrimitive | None] = super().get_msg(block)
            return found
        with self.msg_queue.mutex:
            waiting: deque[tuple[int | None, DIMSEPrimitive | None]] = self.msg_queue.queue
            message = waiting[0][1] if waiting else None
            is_request = message is not None and message.is_valid_request
            return waiting.popleft() if waiting and (is_request or self.assoc._reactor_checkpoint.is_set()) else _NONE


class RequestedAssociation(Association):  # type: ignore[misc]
    """An association that we open; a report of the peer may arrive at any moment of it."""

    def __init__(self, ae: AE) -> None:
        super().__init__(ae, "requestor")
        put_layer(self, SharedLayer(self))
        self.dimse = RequestorMessages(self)
        self.cut_reason = ""
        """Why we ended the connection ourselves; empty where we did not."""
        self._timer: Timer | None = None

    def limit(self, seconds: float | None) -> None:
        """End the connection so many seconds from now, whatever it waits for then; None takes the limit away."""
        if self._timer:
            self._timer.cancel()
        self._timer = Timer(seconds, self._cut, [seconds]) if seconds is not None else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def _cut(self, seconds: float) -> None:
        self.cut_reason = f"the association took longer than the {seconds:g} s that it may take"
        layer = self.dul.socket
        if layer is not None and layer.socket is not None:
            with suppress(OSError):  # of the socket itself: an SSLSocket's own would wait for the peer
                socket.socket.shutdown(layer.socket, socket.SHUT_RDWR)

    def _serve_request(self, message: object, context_id: int) -> None:
        """As pynetdicom's, which serves a report in a thread and then marks its loop as running.

        That loop may stand at its checkpoint just then; who paused it, to send or to release, would wait for ever.
        """
        super()._serve_request(message, context_id)
        if not self._reactor_checkpoint.is_set():
            self._is_paused = True


class RequestingAE(AE):  # type: ignore[misc]
    """An application entity whose associations are `RequestedAssociation`s and send small PDUs at once.

    `association_seconds` is the time from the first packet to the end of each; None is no limit.
    """

    association_seconds: float | None = None

    def associate(
        self,
        host: str,
        port: int,
        contexts: Sequence[PresentationContext],
        ae_title: str = "ANY-SCP",
        *,
        ext_neg: Sequence[object] = (),
        tls_args: tuple[object, str] | None = None,
        evt_handlers: Sequence[EventHandlerType] = (),
    ) -> RequestedAssociation:
        """As the parent: an association that runs, or holds the reason why it was not established."""
        association = RequestedAssociation(self)
        requestor, acceptor = association.requestor, association.acceptor
        peer = AddressInformation.from_addr_port(host, port)
        ours = AddressInformation.from_tuple(("::0" if peer.address_family == socket.AF_INET6 else "", 0))
        requestor.ae_title, requestor.address_info = self.ae_title, ours
        acceptor.ae_title, acceptor.address_info = ae_title, peer
        requestor.implementation_version_name = self.implementation_version_name
        for item in ext_neg:
            requestor.add_negotiation_item(item)
        requestor.requested_contexts = _numbered(contexts)
        for handler in evt_handlers:
            association.bind(*handler)
        association.set_socket(AssociationSocket(association, address=ours))
        association.dul.socket.tls_args = tls_args
        association.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association.limit(self.association_seconds)
        association.request()
        if association.is_established:
            association.start()
        else:
            association.limit(None)
        return association


def _numbered(contexts: Sequence[PresentationContext]) -> list[PresentationContext]:
    """Copies with the odd IDs of PS3.8 9.3.2.2."""
    numbered = deepcopy(list(contexts))
    for number, context in enumerate(numbered):
        context.context_id = 2 * number + 1
    return numbered


@contextmanager
def exclusive_channel(association: Association) -> Iterator[PduChannel]:
    """The PDUs of an established association; afterwards they are pynetdicom's again, or it is over."""
    reactor, layer = association._reactor_checkpoint, association.dul
    reactor.clear()
    while not association._is_paused:
        time.sleep(0.0001)
    try:
        with layer.lock:
            channel = PduChannel(layer, association.dimse_timeout)
            try:
                yield channel
            finally:
                channel.close()
    finally:
        layer.restart_idle_timer()
        reactor.set()
    if channel.notified:
        association.join(association.acse_timeout)  # pynetdicom ends what it knows to be over
        channel.discard()
    if channel.over and association.is_established:
        association.abort()


class PduChannel:
    """PDUs to and from the peer, as bytes."""

    def __init__(self, layer: SharedLayer, seconds: float | None) -> None:
        sock = layer.socket.socket if layer.socket else None
        self.over = self.notified = sock is None
        """Whether nothing can be sent any more, and whether pynetdicom knows."""
        self._layer, self._seconds = layer, seconds or None
        self._torn = False  # a PDU was not sent whole
        self._sock: socket.socket = sock or socket.socket()  # that leads nowhere
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Leave the socket as pynetdicom had it, and closed where another PDU could not be understood."""
        if self._torn:
            self._lose()
        if not self.notified:
            self._sock.settimeout(None)

    def discard(self) -> None:
        """Close the socket, which pynetdicom leaves open where the peer was faster to close the connection."""
        self._sock.close()

    def end(self, reason: str, *, notified: bool = False) -> AssociationEnded:
        """The error to raise when no more can be sent, for this reason."""
        self.over, self.notified = True, notified or self.notified
        return AssociationEnded(self._layer.assoc.cut_reason or reason)

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send the bytes of whole PDUs; AssociationEnded where the peer does not take them."""
        self._torn = True
        try:
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.sendall(b"".join(parts))
            else:
                _send_all(self._sock, parts)
        except OSError as error:
            raise self.end("the peer ended the association before it had everything", notified=True) from error
        self._torn = False

    @property
    def pending(self) -> bool:
        """Whether the peer sent something, or closed the connection. (Over TLS only reading shows it.)"""
        return not isinstance(self._sock, ssl.SSLSocket) and bool(select.select([self._sock], [], [], 0)[0])

    def receive(self) -> tuple[int, bytes]:
        """Type and body of the next PDU.

        Raises
        ------
        AssociationEnded
            None arrived in time, or the peer closed the connection.
        InvalidPDU
            It is longer than a response can be.
        """
        read = partial(read_exactly, partial(receive, self._sock, Deadline(self._seconds)))
        try:
            kind, length = HEADER.unpack(read(HEADER.size))
            if length > LONGEST_RECEIVED:
                raise InvalidPDU("a PDU of this kind is not so long")
            self._acknowledge()
            return kind, read(length)
        except TimeoutError as error:
            raise self.end("the peer did not answer") from error
        except (EOFError, OSError) as error:
            self._lose()
            raise self.end("the peer did not answer", notified=True) from error

    def _acknowledge(self) -> None:
        """Now, not 40 ms later: a peer with Nagle's algorithm keeps a PDU's rest until its header is acknowledged."""
        if _QUICKACK is not None:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def hand_over(self, kind: int, body: bytes) -> AssociationEnded:
        """Give pynetdicom a PDU that ends the association."""
        self._layer.hand_over(kind, body)
        return self.end("the peer did not answer", notified=True)

    def refuse(self) -> AssociationEnded:
        """Have what the peer sent answered as no valid PDU."""
        self._layer.refuse()
        return self.end("what the peer answered is no DICOM", notified=True)

    def _lose(self) -> None:
        self._torn = False
        if self._layer.socket:
            self._layer.socket.close()  # which notifies the state machine


def _send_all(sock: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    """`sendall` of many buffers."""
    at, skip = 0, 0
    while at < len(parts):
        sent = skip + sock.sendmsg([memoryview(parts[at])[skip:], *parts[at + 1 : at + _MOST_BUFFERS]])
        while at < len(parts) and sent >= len(parts[at]):
            sent -= len(parts[at])
            at += 1
        skip = sent
