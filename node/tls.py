"""TLS contexts of associations (PS3.15 B.12, BCP 195): both sides show a certificate of the configured authority."""

from __future__ import annotations

import ssl

from node.errors import ConfigurationError
from node.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """Context of the SCP; a peer without a valid certificate is not let in."""
    return _context(tls, ssl.PROTOCOL_TLS_SERVER)


def client_context(tls: Tls) -> ssl.SSLContext:
    """Context of an association that we open; the peer's certificate must name its host."""
    return _context(tls, ssl.PROTOCOL_TLS_CLIENT)


def _context(tls: Tls, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"node.tls: the certificate, key or ca cannot be used: {error}") from error
    context.verify_mode = ssl.CERT_REQUIRED
    return context
