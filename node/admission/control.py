"""The door: who connects shows a certificate and says its name, and nothing else of it is read before it may come in.

pynetdicom meets only the A-ASSOCIATE-RQ of callers that are let in. Of all others the first 74 bytes are read, within a
deadline, by one of a limited number of threads (PS3.8 9.2: states Sta2 and Sta13 with their ARTIM timer).
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from node.admission.policy import Caller, Callers, Rejection, local_limit_exceeded, plain_address, version_not_supported
from node.admission.rejections import Refusals
from node.admission.slots import Places, Visitor
from node.settings import Settings
from node.settings.limits import Limits
from node.tls.contexts import HINTS, certificate_names
from node.tls.renewal import RenewedContext
from node.upperlayer.acceptor import Receive, StoringLayer, request_handler
from node.upperlayer.pdata import HEADER

LONGEST_REQUEST = 1 << 18  # bytes of an A-ASSOCIATE-RQ; 128 contexts with 45 transfer syntaxes each have 160,000
_FIXED = struct.Struct(">Hxx16s16s32x")  # protocol version, called and calling AE title; Table 9-11
_A_ASSOCIATE_RQ, _A_ASSOCIATE_RJ, _A_ABORT = 0x01, 0x03, 0x07
_TLS_HELLO = 0x16
_VERSION = 0x0001  # bit 0, the only one that is tested
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6))  # half-open: 2 minutes

_log = structlog.get_logger(__name__)
TurnedAway = Callable[[str, str, str], None]
"""Told the AE title (empty where it said none), the address, and why."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller that may come in, with the PDU in which it asked."""

    sock: socket.socket
    caller: Caller
    request: bytes
    leave: Callable[[], None]  # gives its seat back


class Doorkeeper:
    """Decides on each connection; safe to use from every connection's thread.

    Parameters
    ----------
    turned_away
        Told of each caller that said its name and was not let in, and of each that TLS did not let in.

    Raises
    ------
    ConfigurationError
        The certificates cannot be used.
    """

    def __init__(self, settings: Settings, turned_away: TurnedAway = lambda _ae_title, _address, _reason: None) -> None:
        node, limits = settings.node, settings.limits
        self._callers, self._limits, self._node, self._turned_away = Callers(settings), limits, node, turned_away
        self._certificates = RenewedContext(node.tls) if node.tls else None
        self._refusals = Refusals()
        self.places = Places(limits.connections, node.max_associations, limits.associations_per_peer)

    def admit(self, sock: socket.socket, host: str) -> Admitted | None:
        """Hear a caller out; where it is not let in it is answered, and its connection closed."""
        visitor = Visitor(sock, plain_address(host), self._limits.request_seconds)
        gone = self.places.arrive(visitor)
        if gone is not None:
            waiting = f"limits.connections = {self._limits.connections} wait, of this address most"
            self._say("connection dropped", gone, reason=waiting)
        admitted = None
        try:
            _keep_alive(sock)
            admitted = self._heard(visitor)
        except ssl.SSLError as error:
            said = getattr(error, "verify_message", "") or error.reason or str(error)
            self._say("TLS failed", visitor, HINTS.get(said) or HINTS.get(error.reason or "", ""), reason=said)
            self._turned_away("", visitor.address, f"TLS failed: {said}")
        except TimeoutError:
            seconds = f"limits.request_seconds = {self._limits.request_seconds:g}"
            self._say("connection dropped", visitor, reason=f"no whole A-ASSOCIATE-RQ in {seconds}")
        except (EOFError, OSError):
            pass  # gone before it said who it is: a port scan, a load balancer that looks whether we are there
        finally:
            self.places.leave(visitor)
            if admitted is None:
                _close(visitor.sock)
        return admitted

    def _heard(self, visitor: Visitor) -> Admitted | None:
        names = self._secured(visitor)
        head = visitor.exactly(HEADER.size)
        kind, length = HEADER.unpack(head)
        if kind != _A_ASSOCIATE_RQ or not _FIXED.size <= length <= LONGEST_REQUEST:
            self._not_a_request(visitor, kind)
            return None
        fixed = visitor.exactly(_FIXED.size)
        version, called, calling = _FIXED.unpack(fixed)
        caller = Caller(_ae_title(called), _ae_title(calling), visitor.address, names)
        rejection = self._rejection(caller, version)
        if rejection is None:
            request = head + fixed + visitor.exactly(length - _FIXED.size)
            seat = self._callers.key(caller)
            full = self.places.sit(seat)
            if not full:
                return Admitted(visitor.sock, caller, request, lambda: self.places.rise(seat))
            rejection = local_limit_exceeded(f"{full} are open; it may try again")
        self._reject(visitor, caller, rejection)
        return None

    def _rejection(self, caller: Caller, version: int) -> Rejection | None:
        if not version & _VERSION:
            return version_not_supported("it must offer version 1 of the DICOM upper layer protocol")
        return self._callers.rejection(caller)

    def _secured(self, visitor: Visitor) -> frozenset[str] | None:
        """Shake hands; whom the certificate names."""
        if self._certificates is None:
            return None
        sock = self._certificates.context().wrap_socket(visitor.sock, server_side=True, do_handshake_on_connect=False)
        visitor.sock = sock
        sock.settimeout(visitor.seconds_left)  # for the whole handshake
        sock.do_handshake()
        return certificate_names(sock)

    def _not_a_request(self, visitor: Visitor, kind: int) -> None:
        """Sta2: an A-ABORT ends the connection (AA-2), everything else is answered with one (AA-1)."""
        hint = "it speaks TLS, and there is no node.tls" if kind == _TLS_HELLO else ""
        if kind != _A_ABORT:
            reason = f"what came first is no A-ASSOCIATE-RQ of at most {LONGEST_REQUEST} bytes"
            self._say("connection refused", visitor, hint, reason=reason)
            self._answer(visitor, HEADER.pack(_A_ABORT, 4) + bytes(4))  # service user

    def _reject(self, visitor: Visitor, caller: Caller, rejection: Rejection) -> None:
        self._say("association rejected", visitor, rejection.hint, peer=caller.ae_title)
        why = bytes((0, rejection.result, rejection.source, rejection.reason))
        try:
            self._answer(visitor, HEADER.pack(_A_ASSOCIATE_RJ, len(why)) + why)
        finally:  # it may wait for the ledger, which the caller does not
            self._turned_away(caller.ae_title, caller.address, f"association rejected: {rejection.hint}")

    def _answer(self, visitor: Visitor, pdu: bytes) -> None:
        """Send a last PDU and wait until the caller has closed: what it sends meanwhile is let go (Sta13, AR-2)."""
        visitor.sock.settimeout(visitor.seconds_left)
        visitor.sock.sendall(pdu)
        with suppress(OSError):
            socket.socket.shutdown(visitor.sock, socket.SHUT_WR)
        visitor.drain(LONGEST_REQUEST)

    def _say(self, event: str, visitor: Visitor, hint: str = "", **values: str) -> None:
        self._refusals.say(event, **values, address=visitor.address, **({"hint": hint} if hint else {}))


class Door(ThreadedAssociationServer):  # type: ignore[misc]
    """The listener; TLS and everything that a caller could make slow is done in the connection's own thread."""

    daemon_threads = True
    request_queue_size = 128
    keeper: Doorkeeper

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The parent would print values."""
        _log.exception("a connection failed", address=client_address[0])

    def shutdown(self) -> None:
        """End the listener, and turn away who waits."""
        super().shutdown()
        self.keeper.places.close()


def handler(
    keeper: Doorkeeper, receive: Receive, limits: Limits, aborted: Callable[[Association], object] = lambda _assoc: None
) -> type[RequestHandler]:
    """What makes associations of the connections that the keeper admits; `aborted` hears of those that ended so."""

    class Handler(request_handler(receive, limits)):  # type: ignore[misc]
        request: socket.socket

        def handle(self) -> None:
            admitted = keeper.admit(self.request, self.client_address[0])
            if admitted is None:
                return
            self.request, self._admitted, self._seated = admitted.sock, admitted, False
            try:
                super().handle()
            finally:
                if not self._seated:
                    admitted.leave()

        def _create_association(self) -> Association:
            assoc = super()._create_association()
            assoc.caller = self._admitted.caller
            layer: StoringLayer = assoc.dul
            layer.ended = lambda: self._over(assoc)
            layer.requested(self._admitted.request)
            self._seated = True
            return assoc

        def _over(self, assoc: Association) -> None:
            self._admitted.leave()
            if assoc.is_aborted:  # pynetdicom tells nobody where its own thread ended over something
                aborted(assoc)

    return Handler


def _ae_title(field: bytes) -> str:
    """Spaces around it do not count (PS3.8 Table 9-11); what is no printable character stays visible in the log."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in field).strip()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _close(sock: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    sock.close()
