"""The MLLP listener: orders are in the ledger before they are acknowledged; everything else is taken politely."""

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
from node.worklist.orders.messages import BadOrder, Verdict

_log = structlog.get_logger(__name__)
_MOST = 1 << 20  # bytes of a message
_TICK = 0.1  # seconds until the listener sees that it is to end


class Learner:
    """What a message does, without the network; safe to call from several connections at once."""

    def __init__(self, table: Orders, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._table, self._ledger, self._clock = table, ledger, clock

    def answer(self, content: bytes) -> list[bytes]:
        """The acknowledgements of a message; what AA says is in the ledger then."""
        message: Message | None = None
        try:
            message = Message(content, self._table.encoding)
            verdict = self._learn(message)
        except NotHl7 as error:
            verdict = Verdict("AR", str(error), "207")
        except BadOrder as error:
            verdict = Verdict("AE", str(error), error.code)
        except OutOfResources:
            verdict = Verdict("AE", "the ledger cannot be written, send again later", "207")
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is said in the log, and answered
            _log.exception("an order message could not be handled")
            verdict = Verdict("AE", "a fault of our software, see its log", "207")
        _say(message, verdict)
        answers = messages.acknowledgements(message, verdict, self._clock())
        encoding = _encoding(content, self._table.encoding)
        return [answer.encode(encoding, "replace") for answer in answers]

    def _learn(self, message: Message) -> Verdict:
        header = message.first("MSH")
        if not header.value(9) or not header.value(10):
            raise BadOrder("MSH-9 (message type) and MSH-10 (control ID) are required")
        kind = messages.kind(message)
        if kind not in messages.KINDS:
            return Verdict("AA")
        found = messages.orders(message, self._table)
        now, raised = self._clock(), 0
        with self._ledger.write() as connection:
            for order in found:
                raised += orders.learn(connection, order, now)
        _log.info(
            "orders learnt", orders=len(found), priorities=[order.priority.value for order in found], raised=raised
        )
        return Verdict("AA")


def _encoding(content: bytes, default: str) -> str:
    try:
        return codec(character_set_of(content) or default)
    except (NotHl7, ValueError):
        return "ascii"


def _say(message: Message | None, verdict: Verdict) -> None:
    """Type, control ID and reason: never a field that may be the patient's."""
    kind = "^".join(messages.kind(message)) if message else ""
    names = {"type": kind[:20], "control_id": message.first("MSH").value(10)[:199] if message else ""}
    if verdict.code != "AA":
        _log.warning("HL7 message refused", **names, code=verdict.code, reason=verdict.reason)
    elif message and messages.kind(message) not in messages.KINDS:
        _log.info("HL7 message ignored, it is no order", **names)


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(self.server.table.idle_seconds)
        blocks = Blocks(self.request.recv, _MOST)
        try:
            while (content := blocks.read()) is not None:
                for answer in self.server.learner.answer(content):
                    self.request.sendall(block(answer))
        except BadBlock as error:
            _log.warning("HL7 connection ended", address=self.client_address[0], reason=str(error))
        except OSError:  # idle for too long, or gone: nothing that was acknowledged is lost
            return


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, table: Orders, learner: Learner) -> None:
        self.table, self.learner = table, learner
        self._places = threading.BoundedSemaphore(table.most_connections)
        self._open = set[socket.socket]()
        self.address_family = socket.AF_INET6 if ":" in table.host else socket.AF_INET
        super().__init__((table.host, table.port), _Connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the caller may send, and there is room for it."""
        address = ip_address(client_address[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if self.table.allow and not any(address in network for network in self.table.allow):
            _log.warning("HL7 connection refused", address=str(address), reason="not in worklist.orders.allow")
            return False
        if not self._places.acquire(blocking=False):
            _log.warning("HL7 connection refused", address=str(address), reason="too many connections")
            return False
        self._open.add(request)
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the parent does; then there is room again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._places.release()

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
        server = _Server(table, Learner(table, ledger))
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
