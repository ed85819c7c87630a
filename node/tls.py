"""TLS contexts of associations (PS3.15 B.12, BCP 195): both sides show a certificate of the configured authority."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from node.errors import ConfigurationError
from node.settings import Tls

if TYPE_CHECKING:
    from typing_extensions import Buffer

_log = structlog.get_logger(__name__)
_SILENCE_SECONDS = 60.0  # a caller that says nothing so long is given up


class _ServerSocket(ssl.SSLSocket):
    """Logs why TLS was not established; pynetdicom only closes the connection."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        with self._told():
            return super().recv(buflen, flags)

    def recv_into(self, buffer: Buffer, nbytes: int | None = None, flags: int = 0) -> int:
        with self._told():
            return super().recv_into(buffer, nbytes, flags)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            address, reason = self.getpeername()[0], error.reason or str(error)
            _log.warning("TLS failed", address=address, reason=reason)
            assert isinstance(self.context, _ServerContext)
            self.context.failed(address, reason)
            raise


class _ServerContext(ssl.SSLContext):
    """Shakes hands when the association first reads, in its thread: a silent caller must not stop the listener."""

    sslsocket_class = _ServerSocket
    failed: Callable[[str, str], None] = staticmethod(lambda _address, _reason: None)

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        sock.settimeout(_SILENCE_SECONDS)
        return super().wrap_socket(
            sock, server_side, False, suppress_ragged_eofs, server_hostname, session
        )  # its own order


def server_context(tls: Tls, failed: Callable[[str, str], None] | None = None) -> ssl.SSLContext:
    """Context of the SCP; a peer without a valid certificate is not let in. `failed` hears its address, and why."""
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    if failed:
        context.failed = failed
    return _prepared(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """Context of an association that we open; the peer's certificate must name its host."""
    return _prepared(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _prepared(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    for name, path in tls:
        if not path.is_file():
            raise ConfigurationError(f"node.tls.{name}: there is no file {path}")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"node.tls: the certificate, key or ca cannot be used: {error}") from error
    context.verify_mode = ssl.CERT_REQUIRED
    return context
