from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.errors import ConfigurationError
from node.ledger.backup import back_up
from node.ledger.engine import Ledger, note
from node.ledger.tables import EVENT


def count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(EVENT)).scalar_one()


def write(ledger: Ledger) -> None:
    with ledger.write() as connection:
        note(connection, "1.2", 1.0, "kind", "detail")


def test_a_copy_holds_what_was_committed_and_is_one_file_for_us_alone(ledger: Ledger, tmp_path: Path) -> None:
    write(ledger)
    copy = tmp_path / "copy"
    copy.write_text("what was there before")
    back_up(ledger, copy)
    write(ledger)
    assert copy.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy"]
    restored = Ledger(f"sqlite:///{copy}")
    restored.migrate()
    assert (count(restored), count(ledger)) == (1, 2)
    restored.close()


def test_a_copy_while_others_write_is_whole(ledger: Ledger, tmp_path: Path) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            write(ledger)

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        for number in range(5):
            back_up(ledger, tmp_path / str(number))
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        copy = sqlite3.connect(tmp_path / str(number))
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        copy.close()


def test_a_copy_that_cannot_be_written_leaves_what_was_there(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the folder .*none does not exist"):
        back_up(ledger, tmp_path / "none" / "copy")
    with pytest.raises(ConfigurationError, match="is the ledger itself"):
        back_up(ledger, tmp_path / "ledger.sqlite")
    write(ledger)


def test_postgresql_has_its_own_program(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    ledger = Ledger("postgresql+psycopg://user:secret@127.0.0.1/readfirst")
    with pytest.raises(ConfigurationError, match="pg_dump") as raised:
        back_up(ledger, tmp_path / "copy")
    assert "secret" not in str(raised.value)
