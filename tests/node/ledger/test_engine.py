from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, func, insert, select, text

import node
from node.entities import MEDIUM
from node.errors import ConfigurationError, OutOfResources
from node.ledger.engine import Ledger, note, open_ledger, sqlite_url
from node.ledger.tables import EVENT, METADATA, STUDY
from node.sending.deliveries import DELIVERY
from node.settings import Database, Node, Settings

NOT_CARRIED = {("outbox", name) for name in ("id", "rung_at", "lease_until")} | {
    ("study", name) for name in ("rung_at", "rung_rank", "lease_until", "attempts")
}


def count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(EVENT)).scalar_one()


def test_how_long_a_lock_is_waited_for_may_stand_in_the_url(ledger: Ledger) -> None:
    other = Ledger(f"{ledger.url}?timeout=0.05")
    begin = time.monotonic()
    with ledger.write(), pytest.raises(OutOfResources, match="locked"), other.write():
        pass
    assert time.monotonic() - begin < 10
    other.close()


def test_migrating_again_is_fine(ledger: Ledger) -> None:
    with ledger.write() as connection:
        note(connection, "1.2", 1.0, "kind", "detail")
    ledger.migrate()
    assert count(ledger) == 1


def test_the_migrated_schema_is_what_the_tables_say(ledger: Ledger) -> None:
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_a_ledger_of_the_first_version_comes_over_whole(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(Path(node.__file__).parent / "ledger" / "migrations"))
    with ledger.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        first = MetaData()
        first.reflect(connection)
        tables = [table for table in first.sorted_tables if table.name != "alembic_version"]
        for table in tables:
            connection.execute(insert(table), [_row(table, number) for number in (1, 2)])
        before = {table.name: connection.execute(select(table)).mappings().all() for table in tables}
    assert {"study", "instance", "result", "outbox", "finding", "work_item", "event"} <= before.keys()
    ledger.migrate()
    with ledger.read() as connection:
        for table in tables:
            now = DELIVERY if table.name == "outbox" else METADATA.tables[table.name]
            kept = [name for name in table.c.keys() if (table.name, name) not in NOT_CARRIED]  # noqa: SIM118
            after = connection.execute(select(*(now.c[name] for name in kept)))
            assert after.mappings().all() == [{name: row[name] for name in kept} for row in before[table.name]]
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert connection.execute(select(STUDY.c.sent_rank)).scalars().all() == [MEDIUM] * 2
    ledger.close()


def _row(table: Table, number: int) -> dict[str, object]:
    """A row with a value in every column; the same UIDs in all tables."""
    values: dict[type, object] = {str: f"1.{number}", int: number, float: number + 0.5, bool: bool(number % 2)}
    item = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}}
    return {column.name: values.get(column.type.python_type, item) for column in table.columns}  # else JSON


def test_sqlite_keeps_what_was_committed(ledger: Ledger) -> None:
    with ledger.read() as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


def test_an_error_rolls_back(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.write() as connection:
        note(connection, "1.2", 1.0, "kind", "detail")
        raise RuntimeError
    assert count(ledger) == 0


def test_writers_wait_for_each_other_and_readers_for_nobody(ledger: Ledger) -> None:
    def write() -> None:
        for number in range(20):
            with ledger.write() as connection:
                note(connection, "1.2", float(number), "kind", "detail")

    threads = [threading.Thread(target=write) for _ in range(4)]
    with ledger.write() as connection:
        note(connection, "1.2", 0.0, "kind", "detail")
        for thread in threads:
            thread.start()
        assert count(ledger) == 0
    for thread in threads:
        thread.join(30)
    assert count(ledger) == 81


def test_a_database_error_is_out_of_resources(ledger: Ledger) -> None:
    with pytest.raises(OutOfResources) as refused, ledger.write() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    assert refused.value.status == 0xA700


def test_a_database_of_a_newer_version_is_refused(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ledger.migrate()


def test_what_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"node\.data"):
        open_ledger(Settings(node=Node(data=tmp_path / "file" / "data")))
    with pytest.raises(ConfigurationError, match=r"the ledger at .* cannot be used"):
        Ledger(sqlite_url(tmp_path / "nowhere")).migrate()


@pytest.mark.parametrize("url", ["nosuch://host/name", "no url"])
def test_a_url_that_is_none_is_a_sentence(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        open_ledger(Settings(node=Node(data=tmp_path), database=Database(url=url)))


def test_the_password_is_not_shown(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.url = "postgresql+psycopg://readfirst:hush@host/name"
    assert "hush" not in ledger.display


def test_a_new_ledger_is_for_its_user_alone(tmp_path: Path) -> None:
    data = tmp_path / "var"
    ledger = open_ledger(Settings(node=Node(data=data)))
    try:
        assert {file.stat().st_mode & 0o777 for file in data.glob("ledger.sqlite*")} == {0o600}
    finally:
        ledger.close()


@pytest.mark.parametrize("damage", [lambda data: b"nonsense" * 1000, lambda data: data[:100] + b"\xff" * len(data)])
def test_a_damaged_ledger_is_named_with_what_to_do(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    settings = Settings(node=Node(data=tmp_path, min_free_mb=0))
    open_ledger(settings).close()
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ConfigurationError) as error:
        open_ledger(settings)
    assert str(error.value).startswith(f"the ledger {file} is damaged (")
    assert "put a copy that `readfirst backup` made in its place" in str(error.value)
    assert "run `readfirst reindex`" in str(error.value)


def test_a_ledger_that_is_damaged_while_the_node_runs_is_named_too(tmp_path: Path) -> None:
    settings = Settings(node=Node(data=tmp_path, min_free_mb=0))
    ledger = open_ledger(settings)
    ledger.close()
    file = tmp_path / "ledger.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))  # the schema is whole, the tables are not
    with pytest.raises(OutOfResources, match=r"ledger\.sqlite is damaged .*reindex"), ledger.read() as connection:
        connection.execute(select(STUDY)).all()
    ledger.close()
