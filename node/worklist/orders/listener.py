"""The MLLP listener: orders are in the ledger before they are acknowledged; other messages are acknowledged."""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import structlog

from node.admission.policy import plain_address
from node.admission.rejections import RejectionLog
from node.admission.slots import ConnectionSlots, PendingConnection
from node.errors import ConfigurationError, OutOfResources
from node.hl7.charsets import codec, is_known
from node.hl7.er7 import Message, NotHl7, Segment, header_of, split
from node.hl7.mllp import BadBlock, Blocks, block
from node.ledger.engine import Ledger
from node.reports.reading import BadReport, reports
from node.reports.store import ReportStore
from node.settings import Orders, Tls
from node.settings.base import tls_of
from node.tls.renewal import RenewedContext
from node.upperlayer.socket_reader import Deadline, receive
from node.worklist.orders import messages, orders
from node.worklist.orders.messages import Acknowledgement
from node.worklist.orders.orders import BadOrder

_log = structlog.get_logger(__name__)
REPORT = ("ORU", "R01")
_MOST = 1 << 20  # bytes of a message
_TICK = 0.1  # seconds until the listener sees that it is to end


class OrderReceiver:
    """Records the orders of a message, without the network; safe to call from several connections at once.

    Reports (ORU^R01) are kept where there is a store for them, and ignored without one.
    """

    def __init__(
        self,
        table: Orders,
        ledger: Ledger,
        clock: Callable[[], float] = time.time,
        kept: ReportStore | None = None,
    ) -> None:
        self._table, self._ledger, self._clock, self._kept = table, ledger, clock, kept

    def receive(self, content: bytes) -> list[bytes]:
        """The responses to a block: a message, several, or a batch; after AA the message's orders are in the ledger."""
        batch, contents, trailer = split(content)
        found = [one for message in contents for one in self._responses(message, self._handle(message))]
        if not batch:
            return found
        headers = [header_of(line) for line in batch.splitlines() if line[:3] in (b"FHS", b"BHS")]
        _require_count(trailer, len(contents))
        # latin_1 gives every byte of the responses back as it is
        responses = [response.decode("latin_1") for response in found]
        return [messages.encode_batch(headers, responses, self._clock()).encode("latin_1", "replace")]

    def refuse(self, content: bytes, result: Acknowledgement) -> list[bytes]:
        """The responses to a message that is not whole, as far as its MSH segment is there."""
        _log_result(header_of(content), result)
        return self._responses(content, result)

    def _responses(self, content: bytes, result: Acknowledgement) -> list[bytes]:
        named = header_of(content).value(18)
        encoding = codec(named if is_known(named) else self._table.encoding)
        responses = messages.encode(header_of(content, encoding), result, self._clock())
        return [response.encode(encoding, "replace") for response in responses]

    def _handle(self, content: bytes) -> Acknowledgement:
        try:
            message = Message(content, self._table.encoding)
            result = self._record(message)
        except NotHl7 as error:
            result = Acknowledgement("AR", str(error), "207")
        except (BadOrder, BadReport) as error:
            result = Acknowledgement("AE", str(error), error.code)
        except OutOfResources:
            result = Acknowledgement("AE", "the ledger cannot be written, send again later", "207")
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and acknowledged with AE
            _log.exception("an order message could not be handled")
            result = Acknowledgement("AE", "a fault of our software, see its log", "207")
        _log_result(header_of(content), result)
        return result

    def _record(self, message: Message) -> Acknowledgement:
        header = message.first("MSH")
        if not header.value(9) or not header.value(10):
            raise BadOrder("MSH-9 (message type) and MSH-10 (control ID) are required")
        if self._kept is not None and messages.kind(header) == REPORT:
            return self._keep(message, self._kept)
        if messages.kind(header) not in messages.KINDS:
            return Acknowledgement("AA")
        found = messages.orders(message, self._table)
        now, raised = self._clock(), 0
        with self._ledger.write(adds=True) as connection:
            for order in found:
                raised += orders.record(connection, order, now)
        _log.info(
            "orders recorded", orders=len(found), priorities=[order.priority.value for order in found], raised=raised
        )
        remarks = "; ".join(messages.remarks(message, self._table))
        if remarks:
            _log.warning("HL7 message recorded with a remark", control_id=header.value(10)[:199], remark=remarks)
        return Acknowledgement("AA", remarks)

    def _keep(self, message: Message, kept: ReportStore) -> Acknowledgement:
        found = reports(message, self._table.accession)
        written = sum(kept.keep(one) for one in found)
        _log.info("reports kept", reports=written, statuses=[one.status for one in found])
        empty = any(not one.text and one.status != "canceled" for one in found)
        return Acknowledgement("AA", "a report has no text (OBX-2 TX, FT, ST)" if empty else "")


def _require_count(trailer: bytes, count: int) -> None:
    """BTS-1 is the number of messages; where it is another the log warns: each message has its own response."""
    found = re.match(rb"BTS.(\d+)", trailer)
    if not found or int(found[1]) != count:
        _log.warning("HL7 batch is not as its trailer says", messages=count, trailer=int(found[1]) if found else None)


def _log_result(header: Segment, result: Acknowledgement) -> None:
    """Type, control ID and reason: never a field that may be the patient's."""
    names = {"type": "^".join(messages.kind(header))[:20], "control_id": header.value(10)[:199]}
    if result.code != "AA":
        _log.warning("HL7 message refused", **names, code=result.code, reason=result.reason)
    elif messages.kind(header) not in (*messages.KINDS, REPORT):
        _log.info("HL7 message ignored, it is no order", **names)


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        server, seconds = self.server, self.server.table.message_seconds
        self.connection = PendingConnection(self.request, plain_address(self.client_address[0]), seconds)
        dropped = server.slots.acquire(self.connection)
        if dropped is not None:
            reason = (
                f"worklist.orders.most_connections = {server.table.most_connections} are open, of this address most"
            )
            server.log.warn("HL7 connection dropped", address=dropped.address, reason=reason)
        try:
            self._secure()
            self._serve()
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            server.log.warn("TLS failed", address=self.connection.address, reason=f"HL7: {reason}")
        except OSError:  # idle for too long, or gone: nothing that was acknowledged is lost
            return
        finally:
            server.slots.release(self.connection)
            self.connection.drop()
            self.connection.sock.close()

    def _secure(self) -> None:
        certificates = self.server.certificates
        if certificates is not None:
            sock = certificates.context().wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
            self.connection.sock = sock
            sock.settimeout(self.connection.deadline.seconds_left)  # for the whole handshake
            sock.do_handshake()

    def _serve(self) -> None:
        table, receiver = self.server.table, self.server.receiver
        blocks = Blocks(self._receive, _MOST, self._begins)
        while True:
            self.connection.deadline = Deadline(table.idle_seconds)
            try:
                if (content := blocks.read()) is None:
                    return
                responses = receiver.receive(content)
            except BadBlock as error:
                code, sentence = ("AE", f"{error}, send it again") if error.cut_off else ("AR", str(error))
                responses = receiver.refuse(error.content, Acknowledgement(code, sentence, "207"))
            self.connection.sock.settimeout(table.message_seconds)
            for response in responses:
                self.connection.sock.sendall(block(response))

    def _receive(self, most: int) -> bytes:
        """The next bytes. A TLS record, too, has as long as a message: a block is seen when its record is whole."""
        sock, deadline = self.connection.sock, self.connection.deadline
        if isinstance(sock, ssl.SSLSocket) and not sock.pending():
            sock.settimeout(deadline.seconds_left)
            socket.socket.recv(sock, 1, socket.MSG_PEEK)
            left, longest = deadline.seconds_left, self.server.table.message_seconds
            deadline = Deadline(longest if left is None else min(left, longest))
        return receive(sock, deadline, most)

    def _begins(self) -> None:
        self.connection.deadline = Deadline(self.server.table.message_seconds)
        self.server.slots.touch(self.connection)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, table: Orders, receiver: OrderReceiver, tls: Tls | None) -> None:
        self.table, self.receiver = table, receiver
        self.certificates = RenewedContext(tls) if tls else None
        self.slots, self.log = ConnectionSlots(table.most_connections), RejectionLog()
        self.address_family = socket.AF_INET6 if ":" in table.host else socket.AF_INET
        super().__init__((table.host, table.port), _Connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the sender's address is allowed."""
        address = plain_address(client_address[0])
        if self.table.allow and not any(ip_address(address) in network for network in self.table.allow):
            self.log.warn("HL7 connection refused", address=address, reason="not in worklist.orders.allow")
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The parent would print values."""
        _log.exception("an HL7 connection failed", address=client_address[0])


@contextmanager
def listening(
    table: Orders | None, ledger: Ledger, node_tls: Tls | None = None, kept: ReportStore | None = None
) -> Iterator[int]:
    """The listener, until the end of the `with`; its port. Nothing where there is no table.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on, or the certificates cannot be used.
    """
    if table is None:
        yield 0
        return
    try:
        server = _Server(table, OrderReceiver(table, ledger, kept=kept), tls_of(table.tls, node_tls))
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
            server.slots.close()
            thread.join()
