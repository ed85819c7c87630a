"""Admission control: the listener, and which of its connections become associations.

A caller shows its certificate and sends its AE title, and nothing else of it is read before it is admitted: pynetdicom
gets only the A-ASSOCIATE-RQ of callers that are. Of all others the first 74 bytes are read, within a deadline, by one
of a limited number of threads (PS3.8 9.2: states Sta2 and Sta13 with their ARTIM timer).
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from socketserver import BaseRequestHandler
from typing import Any

import structlog
from pynetdicom import AE, Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from node.admission.associations import ABORTED, RELEASED, AssociationRegistry, OpenAssociation, session_of
from node.admission.policy import AssociationPolicy, Caller, Rejection, RejectReason, plain_address
from node.admission.rejections import RejectionLog
from node.admission.slots import ConnectionSlots, PendingConnection
from node.settings import Settings
from node.tls.contexts import HINTS, certificate_names
from node.tls.renewal import RenewedContext
from node.upperlayer.acceptor import AcceptedAssociation, register
from node.upperlayer.negotiation import plain_title
from node.upperlayer.pdata import HEADER
from node.upperlayer.streaming import Receive, StreamingLayer

LONGEST_REQUEST = 1 << 18  # bytes of an A-ASSOCIATE-RQ; 128 contexts with 45 transfer syntaxes each have 160,000
_FIXED = struct.Struct(">Hxx16s16s32x")  # protocol version, called and calling AE title; Table 9-11
_A_ASSOCIATE_RQ, _A_ASSOCIATE_RJ, _A_ABORT = 0x01, 0x03, 0x07
_TLS_HELLO = 0x16
_VERSION = 0x0001  # bit 0, the only one that is tested
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6))  # half-open: 2 minutes

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A connection whose caller may associate, with its A-ASSOCIATE-RQ."""

    sock: socket.socket
    association: OpenAssociation
    request: bytes


class AdmissionControl:
    """Decides on each connection; safe to use from every connection's thread.

    Raises
    ------
    ConfigurationError
        The certificates cannot be used.
    """

    def __init__(self, settings: Settings, associations: AssociationRegistry) -> None:
        self._policy, self._limits, self._associations = AssociationPolicy(settings), settings.limits, associations
        self._certificates = RenewedContext(settings.node.tls) if settings.node.tls else None
        self._log = RejectionLog()
        self.slots = ConnectionSlots(settings.limits.connections)

    def admit(self, sock: socket.socket, host: str) -> Admitted | None:
        """Read the request of a caller; where it is not admitted it is answered, and its connection closed."""
        connection = PendingConnection(sock, plain_address(host), self._limits.request_seconds)
        dropped = self.slots.acquire(connection)
        if dropped is not None:
            waiting = f"limits.connections = {self._limits.connections} wait, of this address most"
            self._warn("connection dropped", dropped, reason=waiting)
        admitted = None
        try:
            _keep_alive(sock)
            admitted = self._decide(connection)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            self._warn("TLS failed", connection, HINTS.get(reason) or HINTS.get(error.reason or "", ""), reason=reason)
            self._associations.rejected("", connection.address, f"TLS failed: {reason}")
        except TimeoutError:
            seconds = f"limits.request_seconds = {self._limits.request_seconds:g}"
            self._warn("connection dropped", connection, reason=f"no whole A-ASSOCIATE-RQ in {seconds}")
        except (EOFError, OSError):
            pass  # closed before its AE title was sent: a port scan, or a load balancer's check
        finally:
            self.slots.release(connection)
            if admitted is None:
                _close(connection.sock)
        return admitted

    def _decide(self, connection: PendingConnection) -> Admitted | None:
        names = self._secured(connection)
        head = connection.exactly(HEADER.size)
        kind, length = HEADER.unpack(head)
        if kind != _A_ASSOCIATE_RQ or not _FIXED.size <= length <= LONGEST_REQUEST:
            self._not_a_request(connection, kind)
            return None
        fixed = connection.exactly(_FIXED.size)
        version, called, calling = _FIXED.unpack(fixed)
        caller = Caller(_ae_title(called), _ae_title(calling), connection.address, names)
        rejection = self._rejection(caller, version)
        if rejection is None:
            request = head + fixed + connection.exactly(length - _FIXED.size)
            association = self._associations.open(caller, self._policy.key(caller))
            if isinstance(association, OpenAssociation):
                return Admitted(connection.sock, association, request)
            hint = f"{association} are open: raise that, or let it try again later"
            rejection = Rejection(RejectReason.LOCAL_LIMIT_EXCEEDED, hint)
        self._reject(connection, caller, rejection)
        return None

    def _rejection(self, caller: Caller, version: int) -> Rejection | None:
        if not version & _VERSION:
            hint = "it does not offer version 1 of the DICOM upper layer protocol: update it"
            return Rejection(RejectReason.VERSION_NOT_SUPPORTED, hint)
        return self._policy.rejection(caller)

    def _secured(self, connection: PendingConnection) -> frozenset[str] | None:
        """The TLS handshake; the names of the caller's certificate."""
        if self._certificates is None:
            return None
        sock = self._certificates.context().wrap_socket(
            connection.sock, server_side=True, do_handshake_on_connect=False
        )
        connection.sock = sock
        sock.settimeout(connection.deadline.seconds_left)  # for the whole handshake
        sock.do_handshake()
        return certificate_names(sock)

    def _not_a_request(self, connection: PendingConnection, kind: int) -> None:
        """Sta2: an A-ABORT ends the connection (AA-2), everything else is answered with one (AA-1)."""
        hint = "it speaks TLS and the node does not: set node.tls, or turn TLS off there" if kind == _TLS_HELLO else ""
        if kind != _A_ABORT:
            reason = f"the first PDU is no A-ASSOCIATE-RQ of at most {LONGEST_REQUEST} bytes"
            self._warn("connection refused", connection, hint, reason=reason)
            self._answer(connection, HEADER.pack(_A_ABORT, 4) + bytes(4))  # service user

    def _reject(self, connection: PendingConnection, caller: Caller, rejection: Rejection) -> None:
        self._warn("association rejected", connection, rejection.hint, peer=caller.ae_title)
        body = bytes((0, *rejection.reason.value))
        try:
            self._answer(connection, HEADER.pack(_A_ASSOCIATE_RJ, len(body)) + body)
        finally:  # it may wait for the ledger, which the caller does not
            self._associations.rejected(caller.ae_title, caller.address, f"association rejected: {rejection.hint}")

    def _answer(self, connection: PendingConnection, pdu: bytes) -> None:
        """Send a last PDU and wait until the caller has closed: what it sends meanwhile is discarded (Sta13, AR-2)."""
        connection.sock.settimeout(connection.deadline.seconds_left)
        connection.sock.sendall(pdu)
        with suppress(OSError):
            socket.socket.shutdown(connection.sock, socket.SHUT_WR)
        connection.drain(LONGEST_REQUEST)

    def _warn(self, event: str, connection: PendingConnection, hint: str = "", **values: str) -> None:
        self._log.warn(event, **values, address=connection.address, **({"hint": hint} if hint else {}))


class AssociationListener(ThreadedAssociationServer):  # type: ignore[misc]
    """The listener; TLS and everything that a caller could make slow is done in the connection's own thread.

    Parameters
    ----------
    receive
        Accepts C-STORE requests.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        contexts: Sequence[PresentationContext],
        handlers: Sequence[EventHandlerType],
        receive: Receive,
        settings: Settings,
        associations: AssociationRegistry,
    ) -> None:
        self.control = AdmissionControl(settings, associations)
        self.associations, self._receive, self._limits = associations, receive, settings.limits
        address = settings.node.host, settings.node.port
        super().__init__(
            ae, address, ae.ae_title, list(contexts), evt_handlers=handlers, request_handler=ConnectionHandler
        )
        register(self)

    def make_layer(self, association: Association) -> StreamingLayer:
        """The upper layer of an association that is admitted."""
        return StreamingLayer(association, self._receive, self._limits, partial(self._over, association))

    def _over(self, association: Association) -> None:
        """Free its slot; pynetdicom reports no end where its own thread failed."""
        how = RELEASED if association.is_released else ABORTED
        self.associations.end(session_of(association), how, closed=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The parent would print values."""
        _log.exception("a connection failed", address=client_address[0])

    def shutdown(self) -> None:
        """End the listener, and drop the connections that wait."""
        super().shutdown()
        self.control.slots.close()


class ConnectionHandler(BaseRequestHandler):
    """Makes an association of a connection that is admitted; runs in the connection's own thread."""

    server: AssociationListener

    def handle(self) -> None:
        """Admit the caller and start its association, or close the connection."""
        server = self.server
        admitted = server.control.admit(self.request, self.client_address[0])
        if admitted is None:
            return
        try:
            association = AcceptedAssociation(
                server, admitted.sock, self.client_address, admitted.association, server.make_layer
            )
            association.begin(admitted.request)
        except BaseException:
            server.associations.end(admitted.association, ABORTED, closed=True)
            _close(admitted.sock)
            raise


def _ae_title(field: bytes) -> str:
    """Without its padding; what is no printable character stays visible in the log."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in plain_title(field))


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _close(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    sock.close()
