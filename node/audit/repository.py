"""The sink `syslog`: an audit record repository, reached over TLS (RFC 5425) or UDP (RFC 5426); PS3.15 A.6, A.7."""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from node.audit.message import moment
from node.errors import NotTaken
from node.settings import Repository as Table
from node.settings import Tls
from node.tls.renewal import renewed_client_context
from node.upperlayer.socket_reader import Deadline

_NOTICE, _WARNING = 10 * 8 + 5, 10 * 8 + 4  # PRI: facility 10, severity 5 or 4
_BOM = "\ufeff"  # RFC 5424 6.4: MSG-UTF8
_MSGID = "DICOM+RFC3881"
_CLOSE_SECONDS = 5.0
_MOST_DATAGRAM = 65507  # bytes, of UDP over IPv4


@dataclass(frozen=True, slots=True)
class Repository:
    """Another machine's audit record repository.

    Syslog has no acknowledgement. Over TLS a batch counts as taken when the receiver has closed the connection after
    our close_notify and its system acknowledged every byte: one that closes with bytes unread resets. Over UDP a
    message counts as taken when it has left.
    """

    table: Table
    tls: Tls | None

    @property
    def where(self) -> str:
        """Where messages go, for people."""
        host, port = self.table.address
        return f"syslog {self.table.transport} {host}:{port}"

    def reach(self) -> str:
        """Whether it can be reached; nothing is sent."""
        if self.table.transport == "tls":
            self._send_all(b"")
        return f"{self.where} {'answers' if self.table.transport == 'tls' else 'is not asked: UDP has no answer'}"

    def send(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send the messages; NotTaken where it is not certain that they were read: all are given again."""
        lines = [_line(row) for row in rows]
        if self.table.transport == "tls":
            self._send_all(b"".join(b"%d %s" % (len(line), line) for line in lines))  # RFC 5425 4.3
        else:
            self._cast(lines)

    def _send_all(self, frames: bytes) -> None:
        assert self.tls is not None
        context, (host, port) = renewed_client_context(self.tls).context(), self.table.address
        try:
            with (
                socket.create_connection((host, port), self.table.timeout) as plain,
                context.wrap_socket(plain, server_hostname=host) as sock,
            ):
                sock.sendall(frames)
                _end(sock)
        except OSError as error:  # ssl.SSLError is one, and so is TimeoutError
            raise self._not_taken(error) from error

    def _cast(self, lines: Sequence[bytes]) -> None:
        host, port = self.table.address
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind, protocol) as sock:
                for line in lines:
                    sock.sendto(line[:_MOST_DATAGRAM], address)  # A.7: what is longer may be cut
        except OSError as error:
            raise self._not_taken(error) from error

    def _not_taken(self, error: OSError) -> NotTaken:
        reason = (getattr(error, "reason", None) or error.strerror or str(error)).replace("_", " ").lower()
        return NotTaken(f"{self.where} did not take audit messages: {reason}")


def _end(sock: ssl.SSLSocket) -> None:
    """Announce the end, and wait until the receiver has read all: it answers (RFC 5425 4.4) and closes.

    OpenSSL takes an alert for an answer, and Python a connection that was closed: so what its system does counts.
    """
    answered: socket.socket = sock
    with suppress(ssl.SSLEOFError):
        answered = sock.unwrap()
    deadline = Deadline(_CLOSE_SECONDS)
    with suppress(TimeoutError):  # it answered, and keeps the connection or sends more
        while True:
            answered.settimeout(deadline.seconds_left)
            if not socket.socket.recv(answered, 1024):
                break
    while struct.unpack("i", fcntl.ioctl(answered, termios.TIOCOUTQ, bytes(4)))[0]:
        _ = deadline.seconds_left  # TimeoutError: it closed before it had all
        time.sleep(0.01)
    if error := answered.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _line(row: Mapping[str, Any]) -> bytes:
    """SYSLOG-MSG of RFC 5424 6; STRUCTURED-DATA is nil."""
    priority = _WARNING if row["warning"] else _NOTICE
    stamp, host = moment(min(row["at"], time.time())), socket.gethostname()
    return f"<{priority}>1 {stamp} {host} readfirst {os.getpid()} {_MSGID} - {_BOM}{row['message']}".encode()
