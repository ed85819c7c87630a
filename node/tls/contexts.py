"""TLS by PS3.15 B.12 (BCP 195: RFC 8996, RFC 9325): both sides show certificates; the web page shows its own."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from node.errors import ConfigurationError
from node.settings import Tls, WebTls

# RFC 9325 4.2: ephemeral keys and authenticated encryption alone, RSA of 2048 bits at least; TLS 1.3 has its own
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
# 3.3 no compression, 3.5 no renegotiation; no tickets: each connection shows its certificate
_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE

HINTS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS: turn TLS on there",
    "HTTP_REQUEST": "it speaks HTTP; the page has another port",
    "UNSUPPORTED_PROTOCOL": "it speaks a version older than TLS 1.2 alone",
    "VERSION_TOO_LOW": "it speaks a version older than TLS 1.2 alone",
    "NO_SHARED_CIPHER": "it has none of the cipher suites of BCP 195 (ECDHE with AES-GCM or ChaCha20)",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "give it a certificate that an authority in node.tls.ca has signed",
    "certificate has expired": "its certificate is over: put a new one there",
    "unable to get local issuer certificate": "the authority that signed its certificate is not in node.tls.ca",
    "self-signed certificate": "its certificate is of no authority in node.tls.ca",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority that signed node.tls.certificate",
}
"""What helps, by OpenSSL's reason or the message of its verification."""


def server_context(tls: Tls | WebTls, section: str = "node.tls") -> ssl.SSLContext:
    """Context of a server; where `tls` names authorities, a peer without a valid certificate is rejected.

    Raises
    ------
    ConfigurationError
        A file is missing or cannot be used; the text names it.
    """
    context = _prepared(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls, section)
    context.num_tickets = 0
    return context


def client_context(tls: Tls, section: str = "node.tls") -> ssl.SSLContext:
    """Context of a connection that the node opens; the peer's certificate must name its host.

    Raises
    ------
    ConfigurationError
        A file is missing or cannot be used; the text names it.
    """
    return _prepared(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls, section)


def files(tls: Tls | WebTls, section: str = "node.tls") -> dict[str, Path]:
    """The files of certificates, by the keys that name them."""
    return {f"{section}.{name}": path for name, path in tls if name != "key"}


def certificate_names(sock: ssl.SSLSocket) -> frozenset[str]:
    """Common Name and subjectAltName of the peer's certificate, in small letters."""
    shown: Any = sock.getpeercert() or {}
    subject = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    return frozenset(str(name).lower() for name in [*subject, *(value for _, value in shown.get("subjectAltName", ()))])


def _prepared(context: ssl.SSLContext, tls: Tls | WebTls, section: str) -> ssl.SSLContext:
    for name, path in tls:
        if not path.is_file():
            raise ConfigurationError(f"{section}.{name}: there is no file {path}")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS
    context.set_ciphers(_CIPHERS)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if isinstance(tls, Tls):
            _require_certificate(context, tls.ca)
    except OSError as error:  # ssl.SSLError is one
        names = ", ".join(name for name, _ in tls)
        raise ConfigurationError(
            f"{section}: a file of {names} cannot be used: {error}; they must be PEM, and key the certificate's own"
        ) from error
    return context


def _require_certificate(context: ssl.SSLContext, ca: Path) -> None:
    """The peer shows a certificate of these authorities."""
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    if context.cert_store_stats()["crl"]:  # revocation lists may stand in the file of the authority
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
