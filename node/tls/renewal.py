"""Certificates that are renewed while the node runs: changed files are read at the next connection."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import structlog

from node.errors import ConfigurationError
from node.settings import Tls
from node.tls import certificates
from node.tls.contexts import client_context, files, server_context

_log = structlog.get_logger(__name__)
_DAY = 86400.0


@cache
def renewed_client_context(tls: Tls) -> RenewedContext:
    """Of connections that the node opens; one for the same files."""
    return RenewedContext(tls, client_context)


class RenewedContext:
    """A context that is made anew when its files have changed; files that cannot be used leave the old one as it is.

    Raises
    ------
    ConfigurationError
        The files cannot be used at the start.
    """

    def __init__(self, tls: Tls, make: Callable[[Tls], ssl.SSLContext] = server_context) -> None:
        self._tls, self._make, self._lock = tls, make, threading.Lock()
        self._seen = self._state()
        self._context = make(tls)
        self._warn(time.time())

    def context(self) -> ssl.SSLContext:
        """The context of a new connection."""
        with self._lock:
            now, state = time.time(), self._state()
            if state != self._seen:
                self._seen = state
                self._read_again(now)
            elif now - self._warned > _DAY:
                self._warn(now)
            return self._context

    def _read_again(self, now: float) -> None:
        try:
            context = self._make(self._tls)
            self._require_valid(now)
        except ConfigurationError as error:
            _log.error(
                "TLS certificates not renewed, those read before stay in use: mend the files, they are read at the "
                "next association",
                reason=str(error),
            )
            return
        self._context = context
        _log.info("TLS certificates read again", certificate=str(self._tls.certificate))
        self._warn(now)

    def _require_valid(self, now: float) -> None:
        for over, sentence in certificates.warnings({"node.tls.certificate": self._tls.certificate}, now):
            if over:
                raise ConfigurationError(sentence)

    def _warn(self, now: float) -> None:
        """Once a day, of certificates that end soon; one that OpenSSL can read and we cannot is no reason to stop."""
        self._warned = now
        try:
            for _, sentence in certificates.warnings(files(self._tls), now):
                _log.warning(sentence)
        except ConfigurationError as error:
            _log.warning("it is not known how long a certificate is good", reason=str(error))

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state_of(path) for _, path in self._tls)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
