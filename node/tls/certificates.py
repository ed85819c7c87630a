"""How long certificates are good: the validity of X.509 (RFC 5280 4.1.2.5), read from PEM files."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from node.errors import ConfigurationError
from node.plurals import counted

SOON_DAYS = 30
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17  # tags: [0], and a time whose year has two digits
_DAY = 86400.0


def ends(path: Path) -> float:
    """When the first of a file's certificates ends, seconds since 1970 UTC.

    Raises
    ------
    ConfigurationError
        There is no certificate in it.
    """
    try:
        found = [_not_after(ssl.PEM_cert_to_DER_cert(pem)) for pem in _PEM.findall(path.read_text("ascii", "replace"))]
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(f"{path} cannot be read as certificates in PEM: {error}") from error
    if not found:
        raise ConfigurationError(f"{path} holds no certificate in PEM")
    return min(found)


def warnings(files: dict[str, Path], now: float) -> Iterator[tuple[bool, str]]:
    """Whether a certificate is over, and a sentence, for each that is or that ends within 30 days.

    Parameters
    ----------
    files
        The keys of the settings and what they name.
    """
    for key, path in files.items():
        end = ends(path)
        if end - now > SOON_DAYS * _DAY:
            continue
        day, over = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d"), end <= now
        when = f"ended on {day}" if over else f"ends on {day}, in {counted(round((end - now) / _DAY), 'day')}"
        yield over, f"{key}: the certificate in {path} {when}: put a new one there"


def _not_after(der: bytes) -> float:
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # TBSCertificate
    tag, _, end = _element(der, at)
    at = end if tag == _VERSION else at
    for _ in range(3):  # serialNumber, signature, issuer
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)  # Validity
    _, _, at = _element(der, at)  # notBefore
    tag, start, end = _element(der, at)
    return _seconds(der[start:end].decode("ascii"), two_digits=tag == _UTC_TIME)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, and where its content starts and ends (X.690 8.1)."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    if at + length > len(der):
        raise ValueError("it is cut off")
    return tag, at, at + length


def _seconds(text: str, *, two_digits: bool) -> float:
    if two_digits:
        text = ("19" if text[0] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
