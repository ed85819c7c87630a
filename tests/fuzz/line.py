"""An acceptor's end of an association without threads and network: bytes go in, and all that they cause is done.

The layer, the state machine, DIMSE and negotiation are the real ones; only the clock of their threads is missing. So
one play takes a fraction of a millisecond, and the same bytes always do the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AddressInformation, AssociationSocket

from node.dicom.dimse import StoreRequest
from node.upperlayer.streaming import StreamingLayer

STEPS = 10_000  # turns of the reactor after which a play counts as a hang
ESTABLISHED, AWAITING = "Sta6", "Sta2"


class Hang(AssertionError):
    """The layer does not come to an end."""


class Wire:
    """What a layer asks of a socket: the bytes of a play, and then the end."""

    def __init__(self, ready: int) -> None:
        self._ready = ready
        self._data = memoryview(b"")
        self.sent = 0
        self.closed = False

    def load(self, data: bytes) -> None:
        """The bytes that are to come."""
        self._data, self.sent, self.closed = memoryview(data), 0, False

    def fileno(self) -> int:
        """A descriptor that is always ready to be read."""
        return self._ready

    def recv_into(self, buffer: memoryview) -> int:
        """As a socket's."""
        count = min(len(buffer), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count

    def send(self, data: bytes) -> int:
        """As a socket's."""
        self.sent += len(data)
        return len(data)

    def settimeout(self, seconds: float | None) -> None:
        """There is nothing to wait for."""

    def shutdown(self, how: int) -> None:
        """As a socket's."""

    def close(self) -> None:
        """As a socket's."""
        self.closed = True


@dataclass
class Basket:
    """An incoming Data Set of which only the size is kept."""

    size: int = 0
    ended: list[str] = field(default_factory=list)

    def write(self, data: memoryview) -> None:
        """Take bytes."""
        assert not self.ended, "bytes after the end"
        self.size += len(data)

    def finish(self) -> int:
        """Keep."""
        self.ended.append("finished")
        return 0

    def close(self) -> None:
        """Let go."""
        if not self.ended:
            self.ended.append("abandoned")


class Line:
    """One acceptor that is used again and again; made by `line`."""

    def __init__(self, ready: int, serve: bool) -> None:
        self._serve = serve
        self._ae = AE("READFIRST")
        self._ae.require_called_aet = True
        self._ae.require_calling_aet = ["MODALITY"]
        self._contexts = [
            build_context(CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
            build_context(Verification, [ImplicitVRLittleEndian]),
        ]
        self._wire = Wire(ready)
        self.baskets: list[Basket] = []
        self.requests: list[StoreRequest] = []
        self.most_waiting = 0  # messages that were decoded and not yet served
        self._association: Any = None

    @property
    def sent(self) -> int:
        """Bytes that went back in the last play."""
        return self._wire.sent

    def play(self, data: bytes, state: str = ESTABLISHED) -> str:
        """Let bytes come in an association's state, then its end; the last state.

        Raises
        ------
        Hang
        """
        association = self._prepared(state)
        self._wire.load(data)
        layer = association.dul
        for _ in range(STEPS):
            if layer._kill_thread:
                break
            if not self._turn(association):
                break
        else:
            raise Hang(f"after {STEPS} turns bytes are left")
        layer._drop()
        self._check()
        return str(layer.state_machine.current_state)

    def _turn(self, association: Any) -> bool:
        """One turn of both reactors; whether there was anything to do."""
        layer = association.dul
        _ = layer._process_recv_primitive() or (layer.socket.socket is not None and layer._is_transport_event())
        did = False
        while not layer.event_queue.empty() and not layer._kill_thread:
            layer.state_machine.do_action(layer.event_queue.get(block=False))
            did = True
        self.most_waiting = max(self.most_waiting, association.dimse.msg_queue.qsize())
        return did or _serve(association, self._serve)  # the slowest service that there can be

    def _check(self) -> None:
        for basket in self.baskets:
            assert len(basket.ended) == 1, "an instance ends once, and only once"

    def _prepared(self, state: str) -> Any:
        self.baskets.clear()
        self.requests.clear()
        self.most_waiting = 0
        association = self._association = self._association or self._made()
        _reset(association, state, self._wire)
        return association

    def _made(self) -> Any:
        association: Any = Association(self._ae, "acceptor")
        association.acceptor.ae_title = "READFIRST"
        association.acceptor.maximum_length = 262144
        association.acceptor.supported_contexts = self._contexts
        association.requestor.address_info = AddressInformation("127.0.0.1", 104)
        association.requestor.maximum_length = 16384
        association.network_timeout = 60
        association.dul = StreamingLayer(association, self._receive)
        association.set_socket(AssociationSocket(association, client_socket=self._wire))
        association.is_alive = lambda: True
        association.abort = association._abort_nonblocking  # the other waits for threads
        association.accepted = {
            number: _accepted(number, cx) for number, cx in zip((1, 3), self._contexts, strict=True)
        }
        return association

    def _receive(self, _association: Any, request: StoreRequest, context_id: int) -> Basket | None:
        if context_id != 1:
            return None
        self.requests.append(request)
        self.baskets.append(Basket())
        return self.baskets[-1]


def _accepted(number: int, supported: PresentationContext) -> PresentationContext:
    context = build_context(supported.abstract_syntax, supported.transfer_syntax[:1])
    context.context_id, context.result, context._as_scp = number, 0, True
    return context


def _reset(association: Any, state: str, wire: Wire) -> None:
    layer = association.dul
    for waiting in (layer.event_queue, layer.to_provider_queue, layer.to_user_queue, layer._recv_pdu):
        waiting.queue.clear()
    layer.state_machine.current_state = state
    layer._reader._start = layer._reader._end = 0
    layer._storing, layer._broken, layer._kill_thread = None, False, False
    layer.artim_timer.stop()
    layer.socket.socket, layer.socket._is_connected = wire, True
    association.dimse.message = None
    association.dimse.msg_queue.queue.clear()
    association._kill = association.is_aborted = association.is_released = association.is_rejected = False
    association._sent_abort = association._sent_release = False
    association._accepted_cx = dict(association.accepted) if state == ESTABLISHED else {}
    association.is_established = state == ESTABLISHED


def _serve(association: Any, serve: bool) -> bool:
    """What pynetdicom's association thread does in one turn (`Association.run_reactor`); whether there was anything."""
    layer = association.dul
    if not association.is_established:
        asked = layer.state_machine.current_state == "Sta3" and layer.receive_pdu(wait=False)
        if asked:
            association.requestor.primitive = asked
            association.acse.negotiate_association()
        return bool(asked)
    context_id, message = association.dimse.get_msg(block=False)
    if message and serve:
        association._serve_request(message, context_id)
    if association.is_established and association.acse.is_release_requested():
        association.acse.send_release(is_response=True)
        association.is_released, association.is_established = True, False
    return bool(message)


@contextmanager
def line(*, serve: bool = True) -> Iterator[Line]:
    """A `Line`; its descriptor is given back at the end.

    Parameters
    ----------
    serve
        Whether messages that pynetdicom has decoded are answered by its services, which takes most of the time.
    """
    ready = os.open(os.devnull, os.O_RDONLY)
    try:
        yield Line(ready, serve)
    finally:
        os.close(ready)
