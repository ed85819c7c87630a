"""What was deleted leaves no bytes in the ledger's files: SQLite writes them anew."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from node.errors import ReadFirstError
from node.ledger.engine import Ledger

_BUSY_SECONDS = 60.0  # until other writers and readers let it
_AGAIN = 0.2


def scrub(ledger: Ledger) -> bool:
    """Write the ledger anew and empty its write-ahead log; False where PostgreSQL has to be asked for that.

    Writers wait meanwhile, readers do not.

    Raises
    ------
    ReadFirstError
        There is too little space for a second copy, or it stays in use; to call it again is harmless.
    """
    if not ledger.is_sqlite:
        return False
    file = Path(str(make_url(ledger.url).database))
    need, free = 2 * file.stat().st_size, shutil.disk_usage(file.parent).free
    if need > free:
        raise ReadFirstError(f"the ledger cannot be written anew: {need >> 20} MiB must be free, {free >> 20} are")
    try:
        with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")
            _truncate_log(connection)
    except sqlite3.Error as error:
        raise ReadFirstError(f"the ledger cannot be written anew: {error}") from error
    return True


def _truncate_log(connection: sqlite3.Connection) -> None:
    """Readers of before hold it for as long as they read."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("its write-ahead log stays in use")
        time.sleep(_AGAIN)
