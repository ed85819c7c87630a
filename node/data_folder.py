"""The data folder belongs to one node: a second one that is started on it is refused."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import ConfigurationError

_LOCK = "node.lock"  # the file stays; the kernel's lock on it ends with its process, however that ends


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
