"""The upper layer of an association that we accept: C-STORE goes straight from the socket to the disk.

pynetdicom reads 4,096 bytes at a time, keeps a whole object in memory, and passes it from thread to thread over polled
queues. Here P-DATA of a C-STORE request is read into one buffer, written from there, and answered by the thread that
reads. Negotiation, release, abort, and every other message stay pynetdicom's.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from node.dicom.dimse import StoreRequest, read_store_request, store_response
from node.settings import Limits
from node.upperlayer.negotiation import plain_request
from node.upperlayer.pdata import COMMAND, HEADER, ITEM, LAST, LONGEST_COMMAND, P_DATA, InvalidPDU, opening
from node.upperlayer.pdu import AcceptorStateMachine, decoded
from node.upperlayer.socket_reader import SocketReader

_log = structlog.get_logger(__name__)
LONGEST_OTHER = 1 << 20  # bytes of any PDU that is kept in memory: an A-ASSOCIATE-RQ with 128 contexts has a quarter
LONGEST_MESSAGE = 1 << 22  # bytes of a message that is left to pynetdicom, in all its fragments
LINGER = 0.1  # seconds without a byte, then pynetdicom's own loop checks the association
_VERSION = 0x02, 0x02  # source and reason of an A-ASSOCIATE-RJ that pynetdicom does not report, PS3.8 9.3.4


class IncomingDataset(Protocol):
    """Takes the Data Set of one C-STORE request."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes; raises nothing."""

    def finish(self) -> int:
        """Make the instance durable; the status of the response."""

    def close(self) -> None:
        """Release what is held: it was finished and answered, or the rest will not arrive."""


Receive = Callable[[Association, StoreRequest, int], IncomingDataset | None]
"""Accepts a request under a presentation context's ID; None leaves the message to pynetdicom."""


class StreamingLayer(DULServiceProvider):  # type: ignore[misc]
    """The upper layer of an association that we accept.

    Parameters
    ----------
    ended
        Called once, in the layer's thread, when the association is over and its connection closed.
    """

    def __init__(
        self,
        assoc: Association,
        receive: Receive,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(assoc)
        self._receive, self._limits = receive, limits
        self._until = time.monotonic() + limits.association_hours * 3600
        self._object_until = 0.0
        self._ended = ended
        self._reader = SocketReader(assoc.network_timeout, self._must_return)
        self._storing: tuple[int, StoreRequest, IncomingDataset] | None = None
        self._broken = False  # PDUs do not follow each other any more
        self._command = bytearray()  # fragments of one whose last is missing
        self._command_context = 0
        self._buffered = 0  # bytes that pynetdicom has of a message whose last fragment is missing
        self._reason = ""  # why the association is aborted
        self.state_machine = AcceptorStateMachine(self)

    def _is_transport_event(self) -> bool:
        if not self._broken and not self.assoc.is_alive():
            self.refuse("a request cannot be answered")  # pynetdicom's other thread ended over it
            return True
        if self._broken and self.state_machine.current_state == "Sta13" and self.socket is not None:
            self.socket.close()  # the A-ABORT is sent; what still arrives is not worth reading
            return True
        if not self.assoc.dimse.msg_queue.empty():
            return True  # a peer that asks faster than we answer waits for us, and is not idle
        if self._reader.pending and self.socket is not None and self.socket.socket is not None:
            self._read_pdu_data()
            return True
        waiting: bool = super()._is_transport_event()
        return waiting

    def _read_pdu_data(self) -> None:
        """Read PDUs as long as they carry instances without a pause; anything else is one event of pynetdicom's."""
        assert self.socket is not None
        sock = self.socket.socket
        if sock is None:
            self._end("Evt17")
            return
        pause = self.assoc._reactor_checkpoint  # pynetdicom's other thread has nothing to poll for while we read
        pause.clear()
        try:
            while self._read_pdu(sock) and self._more(sock):
                pass
        except InvalidPDU as error:
            self.refuse(str(error))
        except (EOFError, OSError) as error:
            if isinstance(error, TimeoutError):
                self._warn("association lost", str(error))
            self._end("Evt17")
        finally:
            with suppress(OSError):
                sock.settimeout(self._reader.seconds)  # for what pynetdicom sends
            self._idle_timer.restart()
            pause.set()

    def run_reactor(self) -> None:
        """As pynetdicom's; an instance that was under way when it ends is dropped.

        Where the connection ended before a request arrived, pynetdicom's other thread would wait for one until its
        timeout: the queue's None ends that.
        """
        assert self.socket is not None
        connection = self.socket.socket
        try:
            super().run_reactor()
        finally:
            self._drop()
            if connection is not None:
                connection.close()  # pynetdicom leaves it open where the peer was faster
            self.to_user_queue.put(None)  # else the association's thread waits for a request that cannot arrive
            self._ended()

    def requested(self, pdu: bytes) -> None:
        """Begin with an A-ASSOCIATE-RQ that was read before, instead of waiting for one."""
        supported = {one.abstract_syntax: one.transfer_syntax for one in self.assoc.acceptor.supported_contexts}
        try:
            self._hand_over(pdu[0], plain_request(pdu[HEADER.size :], supported))
        except InvalidPDU as error:
            self.refuse(f"A-ASSOCIATE-RQ: {error}")

    def _read_pdu(self, sock: socket.socket) -> bool:
        """Whether the PDU was ours."""
        self._reader.begin()
        self._check_time(time.monotonic())
        kind, length = HEADER.unpack(self._reader.exactly(sock, HEADER.size))
        if kind == P_DATA and self._may_stream():
            return self._stream(sock, length)
        if kind != P_DATA:
            self._drop()
        self._hand_over(kind, self._rest(sock, length))
        return False

    def _check_time(self, now: float) -> None:
        limits = self._limits
        if self._storing is None and now > self._until:
            raise InvalidPDU(f"it was open longer than limits.association_hours = {limits.association_hours:g}")
        if self._storing is not None and now > self._object_until:
            raise InvalidPDU(f"the instance took longer than limits.object_minutes = {limits.object_minutes:g}")

    def _may_stream(self) -> bool:
        if self.state_machine.current_state != "Sta6":
            return False
        return self._storing is not None or (self.assoc.dimse.message is None and self.assoc.dimse.msg_queue.empty())

    def _stream(self, sock: socket.socket, left: int) -> bool:
        """Take the presentation data values of a P-DATA-TF whose body has `left` bytes."""
        while left:
            if left < ITEM.size:
                raise InvalidPDU("a presentation data value has no header")
            header = self._reader.exactly(sock, ITEM.size)
            length, context_id, control = ITEM.unpack(header)
            if length < 2 or length + 4 > left:
                raise InvalidPDU("a presentation data value reaches beyond its PDU")
            left -= length + 4
            if self._storing is not None:
                self._take(sock, length - 2, context_id, control)
                continue
            command = self._whole_command(sock, length - 2, context_id, control)
            if command and not self._begin(command, context_id):
                whole = ITEM.pack(len(command) + 2, context_id, COMMAND | LAST) + command
                self._hand_over(P_DATA, whole + self._rest(sock, left))
                return False
        return True

    def _whole_command(self, sock: socket.socket, length: int, context_id: int, control: int) -> bytes:
        """The command set that ends with this fragment; empty where more of it follows."""
        if not control & COMMAND:
            raise InvalidPDU("a Data Set arrives before its command")
        if self._command and context_id != self._command_context:
            raise InvalidPDU("a command changes its presentation context")
        self._command_context = context_id
        if len(self._command) + length > LONGEST_COMMAND:
            raise InvalidPDU("a command set is not so long")
        self._command += self._rest(sock, length)
        if not control & LAST:
            return b""
        command, self._command = bytes(self._command), bytearray()
        if not command:
            raise InvalidPDU("a command set is empty")
        return command

    def _begin(self, command: bytes, context_id: int) -> bool:
        request = read_store_request(command)
        dataset = None if request is None else self._receive(self.assoc, request, context_id)
        if request is not None and dataset is not None:
            self._storing = context_id, request, dataset
            self._object_until = time.monotonic() + self._limits.object_minutes * 60
        return dataset is not None

    def _take(self, sock: socket.socket, left: int, context_id: int, control: int) -> None:
        assert self._storing is not None
        expected, request, dataset = self._storing
        if context_id != expected or control & COMMAND:
            raise InvalidPDU("another message begins within a Data Set")
        while left:
            data = self._reader.some(sock, left)
            dataset.write(data)
            left -= len(data)
        if control & LAST:
            self._storing = None
            try:
                self._answer(sock, context_id, store_response(request, dataset.finish()))
            finally:
                dataset.close()

    def _answer(self, sock: socket.socket, context_id: int, command: bytes) -> None:
        assert self.socket is not None
        sock.settimeout(self._reader.seconds)
        self.socket.send(opening(len(command), context_id, COMMAND | LAST) + command)

    def _rest(self, sock: socket.socket, length: int) -> bytes:
        if length > LONGEST_OTHER:
            raise InvalidPDU("a PDU of this kind is not so long")
        return self._reader.exactly(sock, length) if length else b""

    def _hand_over(self, kind: int, body: bytes) -> None:
        """Give a whole PDU to pynetdicom's state machine."""
        if kind == P_DATA:
            self._buffered = len(body) + (0 if self.assoc.dimse.message is None else self._buffered)
            if self._buffered > LONGEST_MESSAGE:
                raise InvalidPDU("a message that carries no instance is not so long")
        pdu, event = decoded(self, kind, body)
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _must_return(self) -> bool:
        return self._kill_thread or not self.to_provider_queue.empty()

    def _more(self, sock: socket.socket) -> bool:
        """Whether another PDU arrives at once, and nothing else waits to be done."""
        if self._must_return():
            return False
        if self._reader.pending or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return True
        waiting = select.poll()
        waiting.register(sock, select.POLLIN)
        return bool(waiting.poll(LINGER * 1000))

    def refuse(self, reason: str, *, answered: bool = True) -> None:
        """End the association, by an A-ABORT that is `answered` or by closing the connection."""
        self._broken, self._reason = True, reason
        self._end("Evt19" if answered else "Evt17")

    def _send(self, pdu: object) -> None:
        if isinstance(pdu, A_ABORT_RQ):
            self._warn("association aborted", self._reason or "the request is not allowed here")
        if isinstance(pdu, A_ASSOCIATE_RJ) and (pdu.source, pdu.reason_diagnostic) == _VERSION:
            self._warn("association rejected", "it asks for another protocol version")
        super()._send(pdu)

    def _warn(self, event: str, reason: str) -> None:
        peer = self.assoc.requestor
        _log.warning(event, peer=peer.ae_title, address=peer.address, reason=reason)

    def _end(self, event: str) -> None:
        self._drop()
        self.event_queue.put(event)

    def _drop(self) -> None:
        self._command.clear()
        if self._storing is not None:
            self._warn("instance dropped", "the association ended before the instance was complete")
            _, _, dataset = self._storing
            self._storing = None
            dataset.close()
