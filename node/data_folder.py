"""The data folder: it belongs to one node, and whoever writes leaves `node.min_free_mb` free on its disk."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigurationError, OutOfResources

_LOCK = "node.lock"  # the file stays; the kernel's lock on it ends with its process, however that ends


@dataclass(frozen=True, slots=True)
class SpaceGuard:
    """Asked by whoever is about to add something: instances, results, work items, orders, audit messages.

    What the node records of what it has already may use what is kept free.
    """

    folder: Path
    least: int  # bytes that are kept free

    def check(self, size: int = 0) -> None:
        """OutOfResources where so many bytes more would leave too little free."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise OutOfResources(f"the data folder cannot be used: {error.strerror}") from error
        if free - size < self.least:
            raise OutOfResources(f"{free >> 20} MiB are free, node.min_free_mb = {self.least >> 20} are kept free")


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Hold the data folder while the body runs.

    Raises
    ------
    ConfigurationError
        Another process holds it, or the folder cannot be written.
    """
    try:
        lock = (data / _LOCK).open("wb")
    except OSError as error:
        raise ConfigurationError(f"node.data: {data} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"another ReadFirst node runs on the data folder {data}: end it first") from error
        yield
