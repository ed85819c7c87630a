"""The socket of an association that we open, for a thread that wants it to itself for a while.

pynetdicom sends a PDU as an object that is handed from thread to thread over queues polled each millisecond. Here one
thread sends and reads PDUs as bytes while pynetdicom's threads stand still; what comes and is not for it, and the end
of the connection, goes to pynetdicom's state machine. What is overridden is private there, so its version is pinned,
and tests/node/upperlayer/test_requestor.py holds what this file relies on.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket

from node.errors import PeerError
from node.upperlayer.pdata import HEADER, InvalidPDU
from node.upperlayer.pdu import decoded, put_layer

LONGEST_COMING = 1 << 20  # bytes of a PDU that we read; an answer has about 170
_MOST_BUFFERS = 1024  # of one sendmsg: IOV_MAX
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class Ended(PeerError):
    """The association is over, or has to be; the text says why."""


class SharedLayer(DULServiceProvider):  # type: ignore[misc]
    """The upper layer of an association that we open; it leaves the socket alone while somebody holds `lock`."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.lock = Lock()

    def _is_transport_event(self) -> bool:
        with self.lock:
            came: bool = super()._is_transport_event()
        return came

    def hand_over(self, kind: int, body: bytes) -> None:
        """Give a whole PDU to the state machine; InvalidPDU where it is none."""
        pdu, event = decoded(self, kind, body)
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def refuse(self) -> None:
        """What came is no PDU: pynetdicom answers with A-ABORT (PS3.8 9.2, event 19)."""
        self.event_queue.put("Evt19")

    def restart_idle_timer(self) -> None:
        """The time without traffic begins anew."""
        self._idle_timer.restart()


class Caller(AE):  # type: ignore[misc]
    """An application entity whose associations have a `SharedLayer` and send small PDUs at once."""

    def _create_socket(self, assoc: Association, *arguments: Any) -> AssociationSocket:
        put_layer(assoc, SharedLayer(assoc))
        made = super()._create_socket(assoc, *arguments)
        assert made.socket is not None
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


@contextmanager
def held(association: Association) -> Iterator[Wire]:
    """The wire of an established association; afterwards it is pynetdicom's again, or over."""
    reactor, layer = association._reactor_checkpoint, association.dul
    reactor.clear()
    while not association._is_paused:
        time.sleep(0.0001)
    try:
        with layer.lock:
            wire = Wire(layer, association.dimse_timeout)
            try:
                yield wire
            finally:
                wire.close()
    finally:
        layer.restart_idle_timer()
        reactor.set()
    if wire.told:
        association.join(association.acse_timeout)  # pynetdicom ends what it was told the end of
        wire.discard()
    if wire.over and association.is_established:
        association.abort()


class Wire:
    """PDUs to and from the peer, as bytes."""

    def __init__(self, layer: SharedLayer, seconds: float | None) -> None:
        sock = layer.socket.socket if layer.socket else None
        self.over = self.told = sock is None
        """Whether nothing can be sent any more, and whether pynetdicom knows."""
        self._layer, self._seconds = layer, seconds or float("inf")
        self._torn = False  # a PDU was not sent whole
        self._sock: socket.socket = sock or socket.socket()  # that leads nowhere
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Leave the socket as pynetdicom had it, and closed where another PDU could not be understood."""
        if self._torn:
            self._lose()
        if not self.told:
            self._sock.settimeout(None)

    def discard(self) -> None:
        """Close the socket, which pynetdicom leaves open where the peer was faster to close the connection."""
        self._sock.close()

    def end(self, why: str, *, told: bool = False) -> Ended:
        """The error that says why no more goes over this wire."""
        self.over, self.told = True, told or self.told
        return Ended(why)

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send the bytes of whole PDUs; Ended where the peer does not take them."""
        self._torn = True
        try:
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.sendall(b"".join(parts))
            else:
                _send_all(self._sock, parts)
        except OSError as error:
            raise self.end("the peer ended the association before it had everything", told=True) from error
        self._torn = False

    @property
    def pending(self) -> bool:
        """Whether the peer said something, or closed the connection. (Over TLS it is only seen by reading.)"""
        return not isinstance(self._sock, ssl.SSLSocket) and bool(select.select([self._sock], [], [], 0)[0])

    def receive(self) -> tuple[int, bytes]:
        """Type and body of the next PDU.

        Raises
        ------
        Ended
            None came in time, or the peer closed the connection.
        InvalidPDU
            It is longer than an answer can be.
        """
        until = time.monotonic() + self._seconds
        try:
            kind, length = HEADER.unpack(self._exactly(HEADER.size, until))
            if length > LONGEST_COMING:
                raise InvalidPDU("a PDU of this kind is not so long")
            self._acknowledge()
            return kind, self._exactly(length, until)
        except TimeoutError as error:
            raise self.end("the peer did not answer") from error
        except (EOFError, OSError) as error:
            self._lose()
            raise self.end("the peer did not answer", told=True) from error

    def _acknowledge(self) -> None:
        """Now, not 40 ms later: a peer with Nagle's algorithm keeps a PDU's rest until its header is acknowledged."""
        if _QUICKACK is not None:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _exactly(self, count: int, until: float) -> bytes:
        whole = bytearray()
        while len(whole) < count:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(None if left == float("inf") else left)
            data = self._sock.recv(count - len(whole))
            if not data:
                raise EOFError
            whole += data
        return bytes(whole)

    def hand_over(self, kind: int, body: bytes) -> Ended:
        """Give pynetdicom a PDU that ends the association."""
        self._layer.hand_over(kind, body)
        return self.end("the peer did not answer", told=True)

    def refuse(self) -> Ended:
        """Have what came answered as no PDU."""
        self._layer.refuse()
        return self.end("what the peer answered is no DICOM", told=True)

    def _lose(self) -> None:
        self._torn = False
        if self._layer.socket:
            self._layer.socket.close()  # it tells the state machine


def _send_all(sock: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    """`sendall` of many buffers."""
    at, skip = 0, 0
    while at < len(parts):
        sent = skip + sock.sendmsg([memoryview(parts[at])[skip:], *parts[at + 1 : at + _MOST_BUFFERS]])
        while at < len(parts) and sent >= len(parts[at]):
            sent -= len(parts[at])
            at += 1
        skip = sent
