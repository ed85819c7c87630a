"""The MLLP listener: orders are in the ledger before they are acknowledged; other messages are acknowledged."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog

from node.errors import ConfigurationError, OutOfResources
from node.hl7.charsets import codec
from node.hl7.er7 import Message, NotHl7, character_set_of
from node.hl7.mllp import BadBlock, Blocks, block
from node.ledger.engine import Ledger
from node.settings import Orders
from node.worklist.orders import messages, orders
from node.worklist.orders.messages import Acknowledgement, BadOrder

_log = structlog.get_logger(__name__)
_MOST = 1 << 20  # bytes of a message
_TICK = 0.1  # seconds until the listener sees that it is to end


class OrderReceiver:
    """Records the orders of a message, without the network; safe to call from several connections at once."""

    def __init__(self, table: Orders, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._table, self._ledger, self._clock = table, ledger, clock

    def receive(self, content: bytes) -> list[bytes]:
        """The acknowledgements of a message; after AA its orders are in the ledger."""
        message: Message | None = None
        try:
            message = Message(content, self._table.encoding)
            result = self._record(message)
        except NotHl7 as error:
            result = Acknowledgement("AR", str(error), "207")
        except BadOrder as error:
            result = Acknowledgement("AE", str(error), error.code)
        except OutOfResources:
            result = Acknowledgement("AE", "the ledger cannot be written, send again later", "207")
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and acknowledged with AE
            _log.exception("an order message could not be handled")
            result = Acknowledgement("AE", "a fault of our software, see its log", "207")
        _log_result(message, result)
        responses = messages.encode(message, result, self._clock())
        encoding = _encoding(content, self._table.encoding)
        return [response.encode(encoding, "replace") for response in responses]

    def _record(self, message: Message) -> Acknowledgement:
        header = message.first("MSH")
        if not header.value(9) or not header.value(10):
            raise BadOrder("MSH-9 (message type) and MSH-10 (control ID) are required")
        kind = messages.kind(message)
        if kind not in messages.KINDS:
            return Acknowledgement("AA")
        found = messages.orders(message, self._table)
        now, raised = self._clock(), 0
        with self._ledger.write(adds=True) as connection:
            for order in found:
                raised += orders.record(connection, order, now)
        _log.info(
            "orders recorded", orders=len(found), priorities=[order.priority.value for order in found], raised=raised
        )
        return Acknowledgement("AA")


def _encoding(content: bytes, default: str) -> str:
    try:
        return codec(character_set_of(content) or default)
    except (NotHl7, ValueError):
        return "ascii"


def _log_result(message: Message | None, result: Acknowledgement) -> None:
    """Type, control ID and reason: never a field that may be the patient's."""
    kind = "^".join(messages.kind(message)) if message else ""
    names = {"type": kind[:20], "control_id": message.first("MSH").value(10)[:199] if message else ""}
    if result.code != "AA":
        _log.warning("HL7 message refused", **names, code=result.code, reason=result.reason)
    elif message and messages.kind(message) not in messages.KINDS:
        _log.info("HL7 message ignored, it is no order", **names)


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(self.server.table.idle_seconds)
        blocks = Blocks(self.request.recv, _MOST)
        try:
            while (content := blocks.read()) is not None:
                for response in self.server.receiver.receive(content):
                    self.request.sendall(block(response))
        except BadBlock as error:
            _log.warning("HL7 connection ended", address=self.client_address[0], reason=str(error))
        except OSError:  # idle for too long, or gone: nothing that was acknowledged is lost
            return


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, table: Orders, receiver: OrderReceiver) -> None:
        self.table, self.receiver = table, receiver
        self._slots = threading.BoundedSemaphore(table.most_connections)
        self._open = set[socket.socket]()
        self.address_family = socket.AF_INET6 if ":" in table.host else socket.AF_INET
        super().__init__((table.host, table.port), _Connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the sender is allowed, and a connection slot is free."""
        address = ip_address(client_address[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if self.table.allow and not any(address in network for network in self.table.allow):
            _log.warning("HL7 connection refused", address=str(address), reason="not in worklist.orders.allow")
            return False
        if not self._slots.acquire(blocking=False):
            _log.warning("HL7 connection refused", address=str(address), reason="too many connections")
            return False
        self._open.add(request)
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the parent does; then the slot is free again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The parent would print values."""
        _log.exception("an HL7 connection failed", address=client_address[0])

    def close_all(self) -> None:
        """End every connection."""
        for request in tuple(self._open):
            self.shutdown_request(request)


@contextmanager
def listening(table: Orders | None, ledger: Ledger) -> Iterator[int]:
    """The listener, until the end of the `with`; its port. Nothing where there is no table.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on.
    """
    if table is None:
        yield 0
        return
    try:
        server = _Server(table, OrderReceiver(table, ledger))
    except OSError as error:
        where = f"{table.host}:{table.port}"
        raise ConfigurationError(
            f"worklist.orders: {where} cannot be listened on: {error.strerror or error}"
        ) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(_TICK,), name="orders", daemon=True)
        thread.start()
        _log.info("listening for orders", host=table.host, port=server.server_address[1])
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.close_all()
            thread.join()
