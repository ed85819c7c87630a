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
from typing import TYPE_CHECKING

import pytest
import structlog
from pynetdicom import _config
from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

ONE_AFTER_THE_OTHER = ("tests/system/", "tests/viewer/")
"""Each starts a dozen processes: beside each other they would measure each other."""

# A server of the tests ends at once, and not within half a second
socketserver.BaseServer.serve_forever.__defaults__ = (0.02,)  # type: ignore[misc]


def _shutdown_and_close(self: AssociationSocket) -> None:
    """As deploy/upstream's second patch: pynetdicom leaves a socket to the collector where the peer closed it first."""
    if self.socket is not None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


AssociationSocket._shutdown_socket = _shutdown_and_close


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """In several processes (`-n 2`) a file stays in one of them, and so do all of `ONE_AFTER_THE_OTHER`."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "processes" if nodeid.startswith(ONE_AFTER_THE_OTHER) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes what takes longest begins first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(ONE_AFTER_THE_OTHER))


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
