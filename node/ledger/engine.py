"""The ledger: one database that is the truth about studies, results, deliveries and work items."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    URL,
    ClauseElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Executable,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from node.data_folder import SpaceGuard
from node.errors import ConfigurationError, OutOfResources
from node.ledger.group_commit import GroupCommit
from node.ledger.tables import EVENT
from node.settings import Settings

SQLITE = "ledger.sqlite"  # file below the data folder
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30.0
_DAMAGED = ("file is not a database", "database disk image is malformed")  # SQLITE_NOTADB, SQLITE_CORRUPT
_LOCK = 0x5265616446697273  # "ReadFirs": our advisory lock in a PostgreSQL that others use, too


class DamagedLedger(OutOfResources):
    """SQLite cannot read its file."""


def sqlite_url(data: Path) -> str:
    """URL of the default database, a SQLite file below the data folder."""
    return URL.create("sqlite", database=str(data / SQLITE)).render_as_string()


class Ledger:
    """Transactions on the ledger's database; safe to share between threads, one per process.

    Parameters
    ----------
    url
        Any URL that SQLAlchemy takes. SQLite runs in WAL mode with `synchronous=FULL`: a commit is on disk.
    space
        Of its disk; None where that is another machine's.
    """

    def __init__(self, url: str, space: SpaceGuard | None = None) -> None:
        self.url, self._space = url, space
        self._turn = threading.Lock()
        self.grouped = GroupCommit(self.write)
        """Writes of which many are asked for at once."""
        options: dict[str, Any] = {}
        try:
            if make_url(url).get_backend_name() == "sqlite":
                timeout = float(str(make_url(url).query.get("timeout", _BUSY_SECONDS)))
                options = {"connect_args": {"timeout": timeout, "check_same_thread": False}}
            self.engine = create_engine(url, pool_pre_ping=not options, json_deserializer=read_json, **options)
        except (ImportError, ValueError, ArgumentError) as error:
            raise ConfigurationError(f"database.url cannot be used: {error}") from error
        if options:
            _prepare_sqlite(self.engine)
        elif self.engine.dialect.name == "postgresql":
            _prepare_postgresql(self.engine)

    def migrate(self) -> None:
        """Upgrade the schema to this version (Alembic); safe to repeat and to run from several processes.

        Raises
        ------
        ConfigurationError
            The database cannot be opened, or was written by a newer version.
        """
        if self._is_current():
            return
        from alembic import command  # noqa: PLC0415  # slow to import, and most schemas are up to date
        from alembic.config import Config  # noqa: PLC0415
        from alembic.util import CommandError  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        try:
            with self.write() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DamagedLedger as error:
            raise ConfigurationError(str(error)) from error
        except (OutOfResources, CommandError) as error:
            raise ConfigurationError(f"the ledger at {self.display} cannot be used: {error}") from error

    def _is_current(self) -> bool:
        """Whether the schema is that of the newest migration (files are named by their revision, in order)."""
        newest = max(file.stem for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
        try:
            with self.read() as connection:
                return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [newest]
        except OutOfResources:  # there is no table yet
            return False

    @property
    def is_new(self) -> bool:
        """Whether the database is not there yet, or has no tables."""
        file = make_url(self.url).database if self.is_sqlite else None
        if file and not Path(file).exists():
            return True
        try:
            with self.read() as connection:
                return not inspect(connection).get_table_names()
        except OutOfResources:  # `migrate` says why
            return False

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine's."""
        return self.engine.dialect.name == "sqlite"

    @property
    def display(self) -> str:
        """The URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    @contextmanager
    def write(self, *, adds: bool = False) -> Iterator[Connection]:
        """One read-write transaction, begun at once; committed on leaving, rolled back on an error.

        Parameters
        ----------
        adds
            It adds what a peer sends, or what its doings leave behind: `node.min_free_mb` stay free.

        Raises
        ------
        OutOfResources
            The database is locked, full, read-only or gone.
        """
        if adds and self._space:
            self._space.check()
        if not self._turn.acquire(timeout=_BUSY_SECONDS):  # SQLite would have the second one sleep and look again
            raise OutOfResources("the ledger did not take a write: another one of this process takes too long")
        try:
            with self.engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise self._failed("did not take a write", error) from error
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only view; never waits for a writer (SQLite WAL, PostgreSQL)."""
        try:
            with self.engine.connect().execution_options(readfirst_read=True) as connection:
                yield connection
        except DBAPIError as error:
            raise self._failed("cannot be read", error) from error

    def _failed(self, what: str, error: DBAPIError) -> OutOfResources:
        """What happened to the ledger; where its file is damaged, also what to do."""
        reason = str(error.orig)
        if not any(words in reason for words in _DAMAGED):
            return OutOfResources(f"the ledger {what}: {type(error.orig).__name__}: {reason}")
        file = make_url(self.url).database
        return DamagedLedger(
            f"the ledger {file} is damaged ({reason}): stop the node, move that file, and those of its name with -wal "
            "and -shm, away, put a copy that `readfirst backup` made in its place, if there is one, and run `readfirst "
            "reindex`"
        )

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def run_plainly(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any]:
    """Execute a statement that is made once and run often, past what SQLAlchemy does anew each time (five sixths).

    Its values are of types that the driver knows.
    """
    text, names, constants = _text(statement, connection.dialect)
    given = {**constants, **values}
    return connection.exec_driver_sql(text, tuple(given[name] for name in names) if names else given)


@cache
def _text(statement: Executable, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Statement, names of its values where their order counts, and the values that it has itself."""
    compiled = cast("ClauseElement", statement).compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), tuple(compiled.positiontup or ()), constants


def read_json(text: str | bytes) -> Any:
    """A value of a JSON column, without what no JSON text may hold: NaN and infinities are null, half a surrogate `?`.

    Versions before this one kept such values, and nobody could be sent them.
    """
    text = text if isinstance(text, str) else text.decode()  # PostgreSQL's driver has bytes
    found = json.loads(text, parse_constant=lambda _constant: None)
    return _without_surrogates(found) if "\\ud" in text.lower() else found


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [_without_surrogates(one) for one in value]
        case dict():
            return {key: _without_surrogates(one) for key, one in value.items()}
    return value


def open_ledger(settings: Settings, *, make: bool = True, reindexing: bool = False) -> Ledger:
    """The ledger of these settings, with its schema up to date.

    Parameters
    ----------
    make
        Whether a ledger that is not there is made; else it is an error.
    reindexing
        It is made also where there are instances already, which is to say that it was lost.

    Raises
    ------
    ConfigurationError
        The data folder or the database cannot be used, or the ledger of its instances is gone.
    """
    data = settings.node.data
    if not make and not settings.database.url and not (data / SQLITE).exists():
        raise ConfigurationError(f"there is no ledger in {data.resolve()}: start the node, or name its --config")
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"node.data: the folder {data} cannot be made: {error.strerror}") from error
    space = None if settings.database.url else SpaceGuard(data, settings.node.min_free_mb << 20)
    ledger = Ledger(settings.database.url or sqlite_url(data), space)
    if not reindexing and _is_lost(ledger, data):
        raise ConfigurationError(
            f"there is no ledger ({ledger.display}), but there are instances in {data / 'instances'}: put the ledger "
            "back (a copy that `readfirst backup` made, if there is one) and run `readfirst reindex`"
        )
    new = ledger.is_sqlite and ledger.is_new
    ledger.migrate()
    if new and not settings.database.url:
        for file in data.glob(f"{SQLITE}*"):  # the patients' names are for the node's user alone
            file.chmod(0o600)
    return ledger


def _is_lost(ledger: Ledger, data: Path) -> bool:
    """Looked at twice, for another process may make the ledger, and receive an instance, in between."""
    return ledger.is_new and next((data / "instances").glob("*/*/*.dcm"), None) is not None and ledger.is_new


def note(connection: Connection, study_instance_uid: str, at: float, kind: str, detail: str) -> None:
    """Add one line to the study's story; `detail` never holds a patient attribute."""
    connection.execute(insert(EVENT).values(study_instance_uid=study_instance_uid, at=at, kind=kind, detail=detail))


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, full durability, foreign keys, deleted rows overwritten, transactions that take the write lock at once."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not sqlite3's late one
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        reads = connection.get_execution_options().get("readfirst_read")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_postgresql(engine: Engine) -> None:
    """One writer at a time, as in SQLite: what a transaction read is still so when it writes."""

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if not connection.get_execution_options().get("readfirst_read"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
