"""A copy of the ledger while it is used: SQLite's online backup."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from node.durable import PART, name_file
from node.errors import ConfigurationError
from node.ledger.engine import Ledger


def back_up(ledger: Ledger, to: Path) -> None:
    """Copy the ledger to the file `to`, in place of what may be there; whole and durable when this returns.

    One view of it is copied: what is committed while this runs is not in the copy, and nobody waits for it.

    Raises
    ------
    ConfigurationError
        The ledger is in PostgreSQL, or the copy cannot be written.
    """
    if not ledger.is_sqlite:
        raise ConfigurationError(f"the ledger is {ledger.display}: back it up with pg_dump")
    source = str(make_url(ledger.url).database)
    if to.exists() and to.samefile(source):
        raise ConfigurationError(f"{to} is the ledger itself: name another file")
    if not to.parent.is_dir():
        raise ConfigurationError(f"the folder {to.parent} does not exist")
    part = to.with_name(f"{to.name}.{secrets.token_hex(4)}{PART}")
    try:
        part.touch(mode=0o600, exist_ok=False)
        _copy(source, part)
        name_file(part, to)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the ledger cannot be copied to {to}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _copy(source: str, to: Path) -> None:
    with closing(sqlite3.connect(source)) as ledger, closing(sqlite3.connect(to)) as copy:
        ledger.backup(copy)
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"the copy is not whole: {found}")
