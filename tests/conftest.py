"""What all tests share."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from pynetdicom import _config
from pynetdicom.transport import AssociationSocket

# A server of the tests ends at once, and not within half a second
socketserver.BaseServer.serve_forever.__defaults__ = (0.02,)  # type: ignore[misc]


def _shutdown_and_close(self: AssociationSocket) -> None:
    """As deploy/upstream's second patch: pynetdicom leaves a socket to the collector where the peer closed it first."""
    if self.socket is not None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


AssociationSocket._shutdown_socket = _shutdown_and_close


def need(program: str, package: str) -> str:
    """Path of a real peer's program; where it is not installed the test is skipped, in CI it fails.

    pynetdicom has commands of the same names as DCMTK's beside this Python: those do not count.
    """
    ours = Path(sys.executable).parent
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != ours]
    if found := shutil.which(program, path=os.pathsep.join(folders)):
        return found
    message = f"{program} is not installed (Debian: {package})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """What `node.logs.configure` changes in this process is undone when the test ends."""
    names = ("LOG_REQUEST_IDENTIFIERS", "LOG_RESPONSE_IDENTIFIERS", "LOG_HANDLER_LEVEL")
    before = {name: getattr(_config, name) for name in names}
    hook = threading.excepthook
    levels = {name: logging.getLogger(name).level for name in ("pydicom", "pynetdicom")}
    yield
    structlog.reset_defaults()
    threading.excepthook = hook
    for name, value in before.items():
        setattr(_config, name, value)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """What a node's start in this process sets is undone when the test ends."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
