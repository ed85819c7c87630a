"""pynetdicom's upper layer, with C-STORE taken straight from the socket to the disk.

pynetdicom reads 4,096 bytes at a time, keeps a whole object in memory, and hands it from thread to thread over polled
queues. Here P-DATA of a C-STORE request is read into one buffer, written from there, and answered by the thread that
reads. Negotiation, release, abort, and every other message stay pynetdicom's. What is overridden is private there, so
its version is pinned, and tests/node/test_upper_layer.py holds what this file relies on.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Protocol

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket, RequestHandler

from node.dimse import StoreRequest, read_store_request, store_response

P_DATA = 0x04
BUFFER = 1 << 18
LONGEST_COMMAND = 1 << 16  # bytes of a command set, PS3.7: a few hundred
LONGEST_OTHER = 1 << 20  # bytes of any PDU that is kept in memory: an A-ASSOCIATE-RQ with 128 contexts has a quarter
MOMENT = 0.5  # seconds after which a reader looks whether it shall stop
LINGER = 0.1  # seconds without a byte, then pynetdicom's own loop looks after the association
_HEADER, _ITEM = struct.Struct(">BxL"), struct.Struct(">LBB")
_COMMAND, _LAST = 0x01, 0x02  # bits of the message control header, PS3.8 E.2


class Reception(Protocol):
    """An instance that comes in."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of its Data Set; raises nothing."""

    def finish(self) -> int:
        """Make it safe; the status to answer."""

    def abandon(self) -> None:
        """The rest will not come."""


Receive = Callable[[Association, StoreRequest, int], Reception | None]
"""Begins a reception of a request under a presentation context's ID; None leaves the message to pynetdicom."""


class InvalidPDU(Exception):
    """What came is no PDU of PS3.8, or none that may come here."""


class Reader:
    """Bytes of one socket, each of whose PDUs must come whole within a time."""

    def __init__(self, seconds: float | None, stopped: Callable[[], bool]) -> None:
        self.seconds = seconds
        self._stopped = stopped
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        self._deadline = 0.0

    @property
    def pending(self) -> bool:
        """Whether bytes were read that nobody took yet."""
        return self._start < self._end

    def begin(self) -> None:
        """A PDU begins."""
        self._deadline = time.monotonic() + (self.seconds or float("inf"))

    def some(self, sock: socket.socket, limit: int) -> memoryview:
        """The next bytes, at least one and at most `limit`; the next call may write over them.

        Raises
        ------
        EOFError
            The peer closed the connection.
        TimeoutError
            The PDU took too long.
        """
        while not self.pending:
            self._start, self._end = 0, self._received(sock)
        taken = self._buffer[self._start : min(self._end, self._start + limit)]
        self._start += len(taken)
        return taken

    def _received(self, sock: socket.socket) -> int:
        """Bytes now in the buffer; 0 after a moment in which none came."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the PDU did not come whole in time")
        sock.settimeout(min(left, MOMENT))
        try:
            count = sock.recv_into(self._buffer)
        except TimeoutError:
            if self._stopped():
                raise EOFError("the association ends here") from None
            return 0
        if not count:
            raise EOFError("the peer closed the connection")
        return count

    def exactly(self, sock: socket.socket, count: int) -> bytes:
        """The next `count` bytes."""
        first = self.some(sock, count)
        if len(first) == count:
            return bytes(first)
        whole = bytearray(first)
        while len(whole) < count:
            whole += self.some(sock, count - len(whole))
        return bytes(whole)


class StoringLayer(DULServiceProvider):  # type: ignore[misc]
    """The upper layer of an association that we accepted; `receive` begins receptions."""

    def __init__(self, assoc: Association, receive: Receive) -> None:
        super().__init__(assoc)
        self._receive = receive
        self._reader = Reader(assoc.network_timeout, self._wanted)
        self._storing: tuple[int, StoreRequest, Reception] | None = None
        self._broken = False  # PDUs do not follow each other any more

    def _is_transport_event(self) -> bool:
        if self._broken and self.state_machine.current_state == "Sta13" and self.socket is not None:
            self.socket.close()  # the A-ABORT is sent; what still comes is not worth reading
            return True
        if self._reader.pending and self.socket is not None and self.socket.socket is not None:
            self._read_pdu_data()
            return True
        waiting: bool = super()._is_transport_event()
        return waiting

    def _read_pdu_data(self) -> None:
        """Read PDUs as long as they bring instances without a pause; anything else is one event of pynetdicom's."""
        assert self.socket is not None
        sock = self.socket.socket
        if sock is None:
            self._lose("Evt17")
            return
        pause = self.assoc._reactor_checkpoint  # pynetdicom's other thread has nothing to poll for while we read
        pause.clear()
        try:
            while self._read_pdu(sock) and self._more(sock):
                pass
        except InvalidPDU:
            self._broken = True
            self._lose("Evt19")
        except (EOFError, OSError):
            self._lose("Evt17")
        finally:
            self._idle_timer.restart()
            pause.set()

    def run_reactor(self) -> None:
        """As pynetdicom's; an instance that was under way when it ends is dropped.

        Where the connection ended before a request came, pynetdicom's other thread would wait for one, and keep its
        place among the associations, until its timeout: it is told that there will be none.
        """
        try:
            super().run_reactor()
        finally:
            self._drop()
            self.to_user_queue.put(None)

    def _read_pdu(self, sock: socket.socket) -> bool:
        """Whether the PDU was ours."""
        self._reader.begin()
        kind, length = _HEADER.unpack(self._reader.exactly(sock, _HEADER.size))
        if kind == P_DATA and self._may_stream():
            return self._stream(sock, length)
        if kind != P_DATA:
            self._drop()
        self._hand_over(kind, self._rest(sock, length))
        return False

    def _may_stream(self) -> bool:
        if self.state_machine.current_state != "Sta6":
            return False
        return self._storing is not None or (self.assoc.dimse.message is None and self.assoc.dimse.msg_queue.empty())

    def _stream(self, sock: socket.socket, left: int) -> bool:
        """Take the presentation data values of a P-DATA-TF of which `left` bytes come."""
        while left:
            if left < _ITEM.size:
                raise InvalidPDU("a presentation data value has no header")
            header = self._reader.exactly(sock, _ITEM.size)
            length, context_id, control = _ITEM.unpack(header)
            if length < 2 or length + 4 > left:
                raise InvalidPDU("a presentation data value reaches beyond its PDU")
            left -= length + 4
            if self._storing is None:
                command = self._rest(sock, length - 2) if control == _COMMAND | _LAST else b""
                if not self._begin(command, context_id):
                    self._hand_over(P_DATA, header + command + self._rest(sock, left + length - 2 - len(command)))
                    return False
            else:
                self._take(sock, length - 2, context_id, control)
        return True

    def _begin(self, command: bytes, context_id: int) -> bool:
        request = read_store_request(command) if 0 < len(command) <= LONGEST_COMMAND else None
        reception = None if request is None else self._receive(self.assoc, request, context_id)
        if request is not None and reception is not None:
            self._storing = context_id, request, reception
        return reception is not None

    def _take(self, sock: socket.socket, left: int, context_id: int, control: int) -> None:
        assert self._storing is not None
        expected, request, reception = self._storing
        if context_id != expected or control & _COMMAND:
            raise InvalidPDU("another message begins within a Data Set")
        while left:
            data = self._reader.some(sock, left)
            reception.write(data)
            left -= len(data)
        if control & _LAST:
            self._storing = None
            self._answer(context_id, store_response(request, reception.finish()))

    def _answer(self, context_id: int, command: bytes) -> None:
        item = _ITEM.pack(len(command) + 2, context_id, _COMMAND | _LAST)
        assert self.socket is not None
        self.socket.send(_HEADER.pack(P_DATA, len(item) + len(command)) + item + command)

    def _rest(self, sock: socket.socket, length: int) -> bytes:
        if length > LONGEST_OTHER:
            raise InvalidPDU("a PDU of this kind is not so long")
        return self._reader.exactly(sock, length) if length else b""

    def _hand_over(self, kind: int, body: bytes) -> None:
        """Give a whole PDU to pynetdicom's state machine."""
        try:
            pdu, event = self._decode_pdu(bytearray(_HEADER.pack(kind, len(body)) + body))
        except Exception as error:  # pynetdicom raises whatever it met in the bytes; all of it means the same here
            raise InvalidPDU("it cannot be decoded") from error
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _wanted(self) -> bool:
        return self._kill_thread or not self.to_provider_queue.empty()

    def _more(self, sock: socket.socket) -> bool:
        """Whether another PDU comes at once, and nothing else wants to be done."""
        if self._wanted():
            return False
        if self._reader.pending or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return True
        ready, _, _ = select.select([sock], [], [], LINGER)
        return bool(ready)

    def _lose(self, event: str) -> None:
        self._drop()
        self.event_queue.put(event)

    def _drop(self) -> None:
        if self._storing is not None:
            self._storing[2].abandon()
            self._storing = None


def request_handler(receive: Receive) -> type[RequestHandler]:
    """What makes associations with a `StoringLayer` of a server's connections."""

    class Handler(RequestHandler):  # type: ignore[misc]
        def _create_association(self) -> Association:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assoc = super()._create_association()
            given = assoc.dul
            assoc.dul = StoringLayer(assoc, receive)
            for name in ("acse_timeout", "dimse_timeout", "network_timeout"):  # they set timers of the layer
                setattr(assoc, name, getattr(assoc, name))
            assert isinstance(given.socket, AssociationSocket)
            assoc.set_socket(given.socket)
            assoc.dul.event_queue.put("Evt5")  # transport connection indication: the socket said it to the other layer
            return assoc

    return Handler
