"""A claim in the ledger that lasts only as long as the worker that holds it lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection

from node.errors import OutOfResources, ReadFirstError
from node.ledger.engine import Ledger
from node.ledger.jobs import LEASE

_log = structlog.get_logger(__name__)
_EXTEND_AGAIN = 5.0  # seconds; a few times within a lease
_AGAIN = 1.0


@contextmanager
def extended(ledger: Ledger, extend: Callable[[Connection, float], None]) -> Iterator[None]:
    """While the body runs, call `extend(connection, lease_until)` in a transaction of its own every few seconds."""
    ended = threading.Event()

    def extend_again() -> None:
        while not ended.wait(_EXTEND_AGAIN):
            try:
                with ledger.write() as connection:
                    extend(connection, time.time() + LEASE)
            except ReadFirstError as error:
                _log.warning("the lease could not be extended", reason=str(error))

    thread = threading.Thread(target=extend_again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def record(ledger: Ledger, write: Callable[[Connection], None]) -> None:
    """Call `write(connection)` in a transaction, again and again while the ledger takes none (locked, disk full).

    A result is not thrown away for that; the end of the worker, or the task's time limit, ends it.
    """
    while True:
        try:
            with ledger.write() as connection:
                return write(connection)
        except OutOfResources as error:
            _log.warning("the result cannot be recorded yet", reason=str(error))
            time.sleep(_AGAIN)
