"""The ledger on a PostgreSQL of the test's own, where one is installed (Debian: postgresql; extra: postgres)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from ports import free_port
from pydicom import Dataset
from sqlalchemy import MetaData, create_engine, func, insert, select, text

import node
from node import web
from node.dispatch import notifications
from node.dispatch.fairness import precedence
from node.entities import HIGH, InstanceKey, ResultObject, StoredInstance
from node.ledger import clock, jobs, studies
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE, METADATA, SUBSCRIPTION
from node.receiving import instances
from node.sending import deliveries
from node.settings import Node, Settings, Web
from node.web import PageContext
from node.web.pages.listing import Filter, find
from node.web.pages.live import mark
from node.worklist.events import event_reports, subscriptions
from node.worklist.events.event_reports import Subscriber
from node.worklist.events.subscription_states import GLOBAL_SUBSCRIPTION
from node.worklist.events.subscriptions import Subscription
from node.worklist.items.priority import Priority
from node.worklist.orders import orders
from node.worklist.orders.orders import Order
from node.worklist.reading import work_items
from node.worklist.reading.work_items import ensure_item
from node.worklist.sinks import notices
from node.worklist.sinks.sender import SinkSender
from tests.node.ledger.test_upgrade import CARRIED_OVER, DUMP, counts
from tests.node.web.conftest import analyse, arrive
from tests.node.worklist.sinks.phantoms import header, raised
from tests.node.worklist.sinks.test_sender import Told

pytest.importorskip("psycopg", reason="psycopg is not installed (extra postgres)")
BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
STUDY = "1.2.3"


def run(*words: str) -> None:
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # initdb does not run as root
    subprocess.run([*user, *words], check=True, capture_output=True, cwd="/")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if BIN is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="readfirst-pg-", dir="/tmp"))  # a socket's path is short
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    control = str(BIN / "pg_ctl"), "-D", str(folder / "data"), "-w"
    try:
        run(str(BIN / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--no-sync")
        run(*control, "-o", f"-c listen_addresses='' -k {folder}", "-l", str(folder / "log"), "start")
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    ledger.migrate()
    yield ledger
    ledger.close()


def together(*calls: object) -> None:
    threads = [threading.Thread(target=call) for call in calls]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_the_migrated_schema_is_what_the_tables_say(ledger: Ledger) -> None:
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_same_instance_at_the_same_instant_is_recorded_once(ledger: Ledger) -> None:
    stored = StoredInstance(InstanceKey(STUDY, "1.2.3.4", "1.2.3.4.5", "1.2"), "1.2", "a.dcm", "0" * 64, 1)
    fresh: list[bool] = []

    def record() -> None:
        with ledger.write() as connection:
            fresh.append(instances.record_instance(connection, stored, "MODALITY", 1.0).new)

    together(*[record] * 8)
    assert sorted(fresh) == [False] * 7 + [True]
    with ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(INSTANCE)).scalar_one() == 1


def test_two_workers_do_not_take_the_same_delivery(ledger: Ledger) -> None:
    result = ResultObject("2.25.1", "1.2", "2.25.2", "chest-xray", "statement", "results/a.dcm")
    with ledger.write() as connection:
        deliveries.put(connection, STUDY, 1, [result], ["pacs"], 1.0)
    taken: list[int] = []

    def take() -> None:
        with ledger.write() as connection:
            taken.append(len(deliveries.claim(connection, STUDY, "pacs", 2.0, 60.0)))

    together(*[take] * 8)
    assert sorted(taken) == [0] * 7 + [1]


def test_subscribers_of_all_items_are_told_of_a_new_one(ledger: Ledger) -> None:
    everything = Subscription(Subscriber("READER"), GLOBAL_SUBSCRIPTION, True, {})
    header = Dataset()
    header.StudyInstanceUID = "1.2.9"
    with ledger.write() as connection:
        subscriptions.subscribe(connection, everything, 1.0)
        uid = work_items.ensure_item(connection, header, 2.0)
        assert connection.execute(select(SUBSCRIPTION.c.locked).filter_by(sop_instance_uid=uid)).scalar()
        assert event_reports.due(connection, 3.0) == (Subscriber("READER"),)
        (report,) = event_reports.waiting(connection, Subscriber("READER"), 10)
        event_reports.postponed(connection, Subscriber("READER"), "down", 3.0, 0.5)
        assert event_reports.due(connection, 3.0) == ()
        event_reports.answered(connection, report)
        subscriptions.unsubscribe(connection, Subscriber("READER"), GLOBAL_SUBSCRIPTION)
        assert subscriptions.all_subscribers(connection) == frozenset()


def test_orders_are_learnt_and_notices_told(ledger: Ledger) -> None:
    order = Order("P1", "F1", "A%1", "", Priority.HIGH, "S", canceled=False, sender="RIS", control_id="M1")
    now = time.time()
    raised(ledger, "1.5.1", now, "A%1")
    raised(ledger, "1.5.2", now, "AX1")
    sink = Told()
    SinkSender("hl7", sink, ledger).step()
    assert sorted(told.study_instance_uid for told in sink.notices) == ["1.5.1", "1.5.2"]
    with ledger.write() as connection:
        ensure_item(connection, header("1.5.3", "A%1"), now)
        assert orders.record(connection, order, now) == 1
        assert [row["state"] for row in notices.of_study(connection, "1.5.1")] == ["delivered"]


def test_the_page_asks_as_it_does_of_sqlite(ledger: Ledger, tmp_path: Path) -> None:
    for uid, name in (("1.2.77", "Müller^Änne"), ("1.2.78", "Doe^Jane"), ("1.2.79", 'Wang^"Weiß"=王^小明')):
        arrive(ledger, uid, PatientName=name)
    analyse(ledger, tmp_path, "1.2.78")
    settings = Settings(node=Node(data=tmp_path))
    with ledger.read() as connection:
        for words, uids in {
            "MÜLLER": ["1.2.77"], "än": ["1.2.77"], "王": ["1.2.79"], '"weiss': ["1.2.79"], "\\": [], "e_%/": [],
        }.items():  # fmt: skip
            assert [line.row.study_instance_uid for line in find(connection, Filter(words=words)).lines] == uids, words
        lines = {line.row.study_instance_uid: line for line in find(connection, Filter()).lines}
        assert lines["1.2.78"].present[0].label == "Pneumothorax"
        assert mark(connection)[0]
    with web.serving(
        keys := Web(port=free_port()), web.make_app(PageContext(settings, ledger, b"k" * 32, lambda _: 0))
    ):
        page = f"http://127.0.0.1:{keys.port}"
        for path in ("/", "/status", "/study/1.2.78", "/feedback.csv"):
            assert httpx.get(page + path, trust_env=False).status_code == 200, path


def test_a_ledger_of_the_previous_version_is_carried_over(url: str, tmp_path: Path) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE before"))
    engine.dispose()
    ledger, config, tables = Ledger(url.replace("/postgres?", "/before?")), Config(), MetaData()
    config.set_main_option("script_location", str(Path(node.__file__).parent / "ledger" / "migrations"))
    with closing(sqlite3.connect(tmp_path / "before")) as dumped:
        dumped.executescript(DUMP.read_text())
    before = create_engine(f"sqlite:///{tmp_path / 'before'}")
    with ledger.write() as connection, before.connect() as reading:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007_audit")
        tables.reflect(connection)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in reading.execute(select(table)).mappings()]
            if rows and table.name != "alembic_version":
                connection.execute(insert(table), rows)
    before.dispose()
    ledger.migrate()
    assert counts(ledger) == CARRIED_OVER
    with ledger.write() as connection:
        assert len(deliveries.claim(connection, "1.2.1", "pacs", time.time())) == 2
        assert [one["lane"] for one in jobs.troubled(connection, 10) if one["kind"] == "notice"] == ["hl7"] * 2
        assert [row["study_instance_uid"] for row in notifications.unnotified(connection, time.time())] == ["1.2.3"]
        notifications.mark_notified(connection, "1.2.3", 1, time.time(), precedence(HIGH))
        assert (notifications.notified_by_precedence(connection), notifications.notified_by_sender(connection)) == (
            {precedence(HIGH): 1}, {"MODALITY": 2},
        )  # fmt: skip
        studies.extend(connection, "1.2.4", 1, time.time() + 60)
        assert (studies.lost(connection, time.time()), clock.correct_times(connection, time.time())) == ([], 1)
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    ledger.close()
