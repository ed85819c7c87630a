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

_log = structlog.get_logger(__name__)
LEASE = 20.0  # seconds; a worker that is silent so long is dead
_RENEW = 5.0
_AGAIN = 1.0


@contextmanager
def renewed(ledger: Ledger, renew: Callable[[Connection, float], None]) -> Iterator[None]:
    """While the body runs, call `renew(connection, lease_until)` in a transaction of its own every few seconds."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(_RENEW):
            try:
                with ledger.write() as connection:
                    renew(connection, time.time() + LEASE)
            except ReadFirstError as error:
                _log.warning("the lease could not be renewed", reason=str(error))

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def written(ledger: Ledger, write: Callable[[Connection], None]) -> None:
    """Call `write(connection)` in a transaction, again and again while the ledger takes none (locked, disk full).

    What was done is not thrown away for that; the task's time limit ends it.
    """
    while True:
        try:
            with ledger.write() as connection:
                return write(connection)
        except OutOfResources as error:
            _log.warning("what was done cannot be written down yet", reason=str(error))
            time.sleep(_AGAIN)
