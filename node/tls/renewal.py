"""Certificates that are renewed while the node runs: changed files are read at the next connection."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import structlog

from node.errors import ConfigurationError
from node.settings import Tls, WebTls
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

    def __init__(
        self,
        tls: Tls | WebTls,
        make: Callable[..., ssl.SSLContext] = server_context,  # of `tls` and `section`
        section: str = "node.tls",
    ) -> None:
        self._tls, self._section, self._lock = tls, section, threading.Lock()
        self._make = partial(make, tls, section)
        self._seen = self._state()
        self._context = self._make()
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

    def context_of_each_connection(self) -> ssl.SSLContext:
        """For a server that takes one context for all connections (asyncio): each gets the present one."""
        context = self.context()
        context.sni_callback = self._choose  # OpenSSL calls it in each handshake, also where the client names no host
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self.context()

    def _read_again(self, now: float) -> None:
        try:
            context = self._make()
            self._require_valid(now)
        except ConfigurationError as error:
            _log.error(
                "TLS certificates not renewed, those read before stay in use: mend the files, they are read at the "
                "next connection",
                reason=str(error),
            )
            return
        self._context = context
        _log.info("TLS certificates read again", certificate=str(self._tls.certificate))
        self._warn(now)

    def _require_valid(self, now: float) -> None:
        for over, sentence in certificates.warnings({f"{self._section}.certificate": self._tls.certificate}, now):
            if over:
                raise ConfigurationError(sentence)

    def _warn(self, now: float) -> None:
        """Once a day, of certificates that end soon; one that OpenSSL can read and we cannot is no reason to stop."""
        self._warned = now
        try:
            for _, sentence in certificates.warnings(files(self._tls, self._section), now):
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
