"""Leases: a claim in the ledger that ends soon after the worker that holds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection

from node.errors import OutOfResources, ReadFirstError
from node.ledger.engine import Ledger

_log = structlog.get_logger(__name__)
LEASE = 20.0  # seconds; a worker that is silent so long is dead
_RENEW = 5.0
_AGAIN = 1.0


@contextmanager
def extended(ledger: Ledger, renew: Callable[[Connection, float], None]) -> Iterator[None]:
    """Extend the lease while the body runs: `renew(connection, lease_until)` every few seconds, in a transaction."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(_RENEW):
            try:
                with ledger.write() as connection:
                    renew(connection, time.time() + LEASE)
            except ReadFirstError as error:
                _log.warning("the lease could not be extended", reason=str(error))

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def record(ledger: Ledger, write: Callable[[Connection], None]) -> None:
    """Record a result: call `write(connection)` in a transaction, until the ledger takes it (locked, disk full).

    The result is not lost for that; the task's time limit ends it.
    """
    while True:
        try:
            with ledger.write() as connection:
                return write(connection)
        except OutOfResources as error:
            _log.warning("the result cannot be recorded yet", reason=str(error))
            time.sleep(_AGAIN)
