"""Ports on loopback for programs that are about to start."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

_RANGE = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections (Linux 32768, IANA 49152): one of those may be taken
before the program listens."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, and that no other caller on this machine was given lately.

    Raises
    ------
    OSError
        Every port of the range is in use.
    """
    with (Path(tempfile.gettempdir()) / f"readfirst-ports-{os.getuid()}").open("a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        given = last.read()
        start = int(given) - _RANGE.start + 1 if given.isdigit() and int(given) in _RANGE else os.getpid()
        for index in range(len(_RANGE)):
            port = _RANGE[(start + index) % len(_RANGE)]
            if _is_free(port):
                last.truncate(0)
                last.write(str(port))
                return port
    raise OSError(
        f"no free TCP port on 127.0.0.1 from {_RANGE.start} to {_RANGE.stop - 1}: end programs that listen there"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
