"""A ledger that the previous version wrote, with rows in each of its queues: upgraded, all of them are done."""

from __future__ import annotations

import http.server
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from ports import free_port
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    UnifiedProcedureStepEvent,
)
from sqlalchemy import func, select
from websockets.sync.client import connect

from node import web
from node.audit import make_sinks as make_audit_sinks
from node.audit.sender import AuditSender
from node.commitment.messages import CommitmentResult, read_result
from node.commitment.result_sender import ResultSender
from node.commitment.scu import CommitmentScu
from node.dicomweb import routes
from node.dicomweb.workitems import WorklistService
from node.dispatch.broker import ANALYZE, DELIVER, Broker, make_app
from node.dispatch.dispatcher import Dispatcher
from node.dispatch.embedded_redis import EmbeddedRedis
from node.entities import AnalysisReport, StudyState
from node.ledger import studies
from node.ledger.engine import SQLITE, Ledger, open_ledger
from node.ledger.tables import JOB, METADATA
from node.sending.deliveries import DELIVERY
from node.settings import Hl7Sink, Node, Peer, Settings, Web, Webhook, Worklist
from node.settings.audit import Audit, Repository
from node.worklist.events.event_reports import Subscriber
from node.worklist.sinks import make_sinks
from node.worklist.sinks.notices import NOTICE
from node.worklist.sinks.sender import SinkSender
from node.worklist.ups.event_sender import EventSender
from tests.node.phantoms import image, save
from tests.node.worklist.scu import STATION
from tests.node.worklist.sinks.phantoms import Hl7Receiver, acknowledgement, control_id
from workers.delivery.deliver import Deliverer

DUMP = Path(__file__).parent / "before_jobs.sql"
NOW = 1_700_000_100.0  # a while after it was written
CARRIED_OVER = {  # how many jobs, by kind and lane
    ("analysis", "MODALITY"): 2,
    ("delivery", "pacs"): 9, ("notice", "hl7"): 3, ("notice", "webhook"): 3, ("event report", "MONITOR"): 7,
    ("web event report", "BROWSER"): 7, ("commitment result", "MODALITY"): 2, ("audit message", "file"): 3,
    ("audit message", "syslog"): 3,
}  # fmt: skip
HELD = "2.25.11"  # the peer took it and was asked to commit to it


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(node=Node(port=free_port(), data=tmp_path, min_free_mb=0))


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with sqlite3.connect(settings.node.data / SQLITE) as before:
        before.executescript(DUMP.read_text())
    before.close()
    ledger = open_ledger(settings)
    yield ledger
    ledger.close()


def counts(ledger: Ledger) -> dict[tuple[str, str], int]:
    query = select(JOB.c.kind, JOB.c.lane, func.count()).group_by(JOB.c.kind, JOB.c.lane)
    with ledger.read() as connection:
        return {(kind, lane): number for kind, lane, number in connection.execute(query)}


def states(ledger: Ledger, table: Any, column: str) -> list[tuple[str, str]]:
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(select(table.c[column], table.c.state).order_by(table.c.id))]


@dataclass
class Peers:
    """One PACS that stores and shows, one subscriber, one scanner that requested commitment."""

    came: list[str] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    results: list[CommitmentResult] = field(default_factory=list)

    def on_store(self, event: Any) -> int:
        self.came.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def on_find(self, _event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for uid in (HELD, *self.came):
            match = Dataset()
            match.SOPInstanceUID = uid
            yield 0xFF00, match
        yield 0x0000, None

    def on_event(self, event: Any) -> tuple[int, None]:
        if event.context.abstract_syntax == UnifiedProcedureStepEvent:
            self.events.append(event.event_type)
        else:
            self.results.append(read_result(event.event_information))
        return 0x0000, None

    @contextmanager
    def running(self) -> Iterator[int]:
        ae = AE()
        ae.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        for uid in (UnifiedProcedureStepEvent, StorageCommitmentPushModel):
            ae.add_supported_context(uid, scu_role=True, scp_role=True)
        found: list[Any] = [
            (evt.EVT_C_STORE, self.on_store), (evt.EVT_C_FIND, self.on_find), (evt.EVT_N_EVENT_REPORT, self.on_event)
        ]  # fmt: skip
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=found)
        yield int(server.server_address[1])
        ae.shutdown()


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
def beside(settings: Settings, peers: Peers) -> Iterator[Settings]:
    """The settings of a node beside these peers."""
    with peers.running() as port:
        here = {"host": "127.0.0.1", "port": port}
        tables = {
            "pacs": Peer(ae_title="PACS", **here, receive=("results",), query=True),
            "monitor": Peer(ae_title="MONITOR", **here),
            "scanner": Peer(ae_title="MODALITY", **here, send=("images",)),
        }
        yield settings.model_copy(update={"peers": tables})


def test_every_row_is_carried_over_with_its_state(ledger: Ledger) -> None:
    assert counts(ledger) == CARRIED_OVER
    assert states(ledger, DELIVERY, "sop_instance_uid") == [
        ("2.25.10", "delivered"), (HELD, "stored"), ("2.25.12", "pending"), ("2.25.13", "standby"),
        ("2.25.14", "pending"), ("2.25.15", "quarantined"), ("2.25.20", "refused"), ("2.25.21", "superseded"),
        ("2.25.255", "pending"),
    ]  # fmt: skip
    assert states(ledger, NOTICE, "sink") == [
        ("hl7", "delivered"), ("hl7", "rejected"), ("hl7", "pending"), *[("webhook", "pending")] * 3
    ]  # fmt: skip
    with ledger.read() as connection:
        rows = connection.execute(select(JOB)).mappings().all()
        assert {row["lease_until"] for row in rows if row["kind"] != "analysis"} == {None}
        failing = connection.execute(select(DELIVERY).where(DELIVERY.c.sop_instance_uid == "2.25.12")).mappings().one()
        held = connection.execute(select(DELIVERY).where(DELIVERY.c.sop_instance_uid == HELD)).mappings().one()
        acknowledged = connection.execute(select(NOTICE.c.acknowledgement)).scalars().first()
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert (failing["attempts"], failing["last_error"]) == (1, "pacs cannot be reached")
    assert (held["transaction_uid"], held["delivered_at"] + 3603) == ("2.25.700", held["next_attempt_at"])
    assert acknowledged == "MSA AA"
    analyses = [row for row in rows if row["kind"] == "analysis"]
    assert [(row["lane"], row["key"], row["attempts"], row["lease_until"]) for row in analyses] == [
        ("MODALITY", "1.2.3", 0, None), ("MODALITY", "1.2.4", 1, 1_700_000_028.0)
    ]  # fmt: skip
    assert [row["payload"] for row in analyses] == [{"generation": 1}] * 2


def test_the_deliveries_go_out_once_and_what_was_stored_is_proven(
    ledger: Ledger, beside: Settings, peers: Peers
) -> None:
    (beside.node.data / "results").mkdir()
    for uid in ("2.25.12", "2.25.14", "2.25.255"):
        save(beside.node.data / "results" / f"{uid}.dcm", image(uid))
    deliverer = Deliverer(beside)
    for study in ("1.2.1", "1.2.2") * 2:
        deliverer.run(study, "pacs")
    deliverer.ledger.close()
    assert peers.came == ["2.25.12", "2.25.14", "2.25.255"]
    later = time.time() + 7200
    scu = CommitmentScu(beside, ledger, lambda: later)
    assert list(scu.due(later)) == ["pacs"]
    scu.serve("pacs")
    assert Counter(state for _uid, state in states(ledger, DELIVERY, "peer")) == {
        "delivered": 5, "standby": 1, "quarantined": 1, "refused": 1, "superseded": 1,
    }  # fmt: skip


def test_the_subscribers_get_their_events_in_order(ledger: Ledger, beside: Settings, peers: Peers) -> None:
    sender = EventSender(beside, ledger, lambda: NOW)
    sender.serve(Subscriber("MONITOR"))
    assert peers.events == [1, 1, 3, 3, 1, 3, 1]
    heard, keys = [], Web(port=free_port())
    page = web.PageContext(Settings(web=keys), ledger, b"k" * 32, lambda _: 0)
    with (
        web.serving(keys, web.make_app(page, routes(WorklistService(ledger, STATION)))),
        connect(f"ws://127.0.0.1:{keys.port}/dicomweb/subscribers/BROWSER", proxy=None) as browser,
    ):
        heard = [browser.recv(timeout=10) for _ in range(7)]
    assert ['"00741200"' in str(event) for event in heard] == [False, False, True, True, False, True, False]
    assert not {kind for kind, _lane in counts(ledger)} & {"event report"}


def test_the_requests_for_commitment_get_their_results(ledger: Ledger, beside: Settings, peers: Peers) -> None:
    sender = ResultSender(beside, ledger, lambda: NOW)
    assert list(sender.due(NOW)) == ["MODALITY"]
    sender.serve("MODALITY")
    assert [(one.transaction_uid, len(one.failed)) for one in peers.results] == [("2.25.800", 2), ("2.25.800", 1)]
    assert ("commitment result", "MODALITY") not in counts(ledger)


class Webserver(http.server.BaseHTTPRequestHandler):
    """Takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_values: object) -> None:
        pass


def test_the_sinks_get_their_notices(ledger: Ledger, settings: Settings) -> None:
    with ExitStack() as stack:
        receiver = Hl7Receiver(lambda message: [acknowledgement("AA", control_id(message))])
        stack.enter_context(receiver.running())
        server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webserver))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        stack.callback(server.shutdown)
        hl7 = Hl7Sink(host="127.0.0.1", port=receiver.port)
        hook = Webhook(url=f"http://127.0.0.1:{server.server_port}/r4")
        worklist = Worklist(sinks=("hl7", "webhook"), hl7=hl7, webhook=hook)
        for name, sink in make_sinks(settings.model_copy(update={"worklist": worklist})).items():
            SinkSender(name, sink, ledger, lambda: NOW).step()
    assert states(ledger, NOTICE, "sink") == [
        ("hl7", "delivered"), ("hl7", "rejected"), ("hl7", "delivered"), *[("webhook", "delivered")] * 3
    ]  # fmt: skip
    assert len(receiver.messages) == 1


def test_the_audit_messages_reach_both_sinks_in_order(ledger: Ledger, settings: Settings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        table = Repository(host="127.0.0.1", port=receiver.getsockname()[1], transport="udp")
        audit = settings.model_copy(update={"audit": Audit(sinks=("file", "syslog"), syslog=table)})
        for name, sink in make_audit_sinks(audit).items():
            AuditSender(name, sink, ledger).step()
        got = [receiver.recv(10_000).decode().rpartition("\ufeff")[2] for _ in range(3)]
    lines = (settings.node.data / "audit" / "audit.log").read_text().splitlines()
    assert got == lines == [f'<AuditMessage n="{number}"/>' for number in range(3)]
    assert not {kind for kind, _lane in counts(ledger)} & {"audit message"}


def test_the_queued_study_and_the_one_whose_worker_died_are_analysed(
    ledger: Ledger, settings: Settings, redis_server: EmbeddedRedis
) -> None:
    broker = Broker(make_app(redis_server.url, 60.0))
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731
    Dispatcher(settings, ledger, broker, nothing, lambda: NOW).dispatch(NOW)
    assert (broker.waiting(ANALYZE), broker.waiting(DELIVER)) == (2, 1)  # one for all that is due for a peer
    for uid in ("1.2.3", "1.2.4"):
        with ledger.write() as connection:
            assert studies.claim(connection, uid, 1, NOW)
            assert studies.finish(connection, uid, 1, AnalysisReport(StudyState.NOT_ANALYSED, "none"), NOW)
    with ledger.read() as connection:
        assert studies.unfinished(connection) == 0
