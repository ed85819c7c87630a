"""Storage commitment across kill -9 of a real node, in both roles; the PACS and the scanner are of pynetdicom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
from sqlalchemy import select, update

from node.commitment.messages import (
    INSTANCE,
    CommitmentResult,
    Reference,
    Request,
    read_request,
    read_result,
    write_request,
    write_result,
)  # fmt: skip
from node.dispatch.embedded_redis import EmbeddedRedis
from node.entities import JobState
from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import JOB
from node.receiving import instances
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from tests.node.commitment.conftest import serve
from tests.node.conftest import redis_server
from tests.node.phantoms import STUDY, image, result, save, stored
from tests.waiting import wait_until

__all__ = ["redis_server"]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
COMMITMENT = StorageCommitmentPushModel


@dataclass
class Pacs:
    """It takes requests, stores nothing, and reports when the test says so."""

    port: int = field(default_factory=free_port)
    asked: list[Request] = field(default_factory=list)
    heard: list[CommitmentResult] = field(default_factory=list)
    when_asked: Callable[[], object] = lambda: None

    def on_action(self, event: Any) -> tuple[int, None]:
        self.asked.append(read_request(event.action_information))
        self.when_asked()
        return 0x0000, None

    def on_report(self, event: Any) -> tuple[int, None]:
        self.heard.append(read_result(event.event_information))
        return 0x0000, None


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs, ae = Pacs(), AE("PACS")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    end = serve(ae, pacs.port, [(evt.EVT_N_ACTION, pacs.on_action), (evt.EVT_N_EVENT_REPORT, pacs.on_report)])
    yield pacs
    end()


class Node:
    """`readfirst node`, killed and started again."""

    def __init__(self, folder: Path, pacs: Pacs, redis_url: str) -> None:
        self.port, self.log, config = free_port(), folder / "node.log", folder / "readfirst.toml"
        peer = f'[peers.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs.port}\nsend = ["images"]\n'
        config.write_text(
            f'[node]\nport = {self.port}\ndata = "{folder}"\nmin_free_mb = 0\n[queue]\nurl = "{redis_url}"\n'
            f'[web]\nport = 0\n{peer}receive = ["results"]\nquery = true\n'
        )
        self._command = [sys.executable, "-m", "node", "node", "--config", str(config)]
        self.start()

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=ROOT)
        wait_until(lambda: "readfirst: ready" in self.log.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def running(tmp_path: Path, pacs: Pacs, redis_server: EmbeddedRedis) -> Iterator[Callable[[], Node]]:
    with ExitStack() as stack:

        def running() -> Node:
            node = Node(tmp_path, pacs, redis_server.url)
            stack.callback(node.kill)
            return node

        yield running


def states(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(DELIVERY.c.state)).scalars())


def call(node: Node, report: CommitmentResult, *, patiently: bool = True) -> int | None:
    """The PACS reports over an association of its own; impatiently it does not wait for the answer."""
    ae = AE("PACS")
    ae.add_requested_context(COMMITMENT)
    ae.dimse_timeout = PATIENCE if patiently else 0.001
    association = ae.associate(
        "127.0.0.1", node.port, ae_title="READFIRST", ext_neg=[build_role(COMMITMENT, scp_role=True)]
    )
    event_type, information = write_result(report)
    status, _ = association.send_n_event_report(information, event_type, COMMITMENT, INSTANCE)
    if association.is_established:
        association.release()
    return status.get("Status")


def test_a_report_is_taken_though_the_node_was_killed_when_it_asked_and_when_it_heard(
    running: Callable[[], Node], pacs: Pacs, ledger: Ledger
) -> None:
    with ledger.write() as connection:
        now = time.time()
        instances.record_instance(connection, stored(), "MODALITY", now)
        deliveries.put(connection, STUDY, 1, [replace(result("2.25.1"), series_instance_uid="2.25.9")], ["pacs"], now)
        for row in deliveries.claim(connection, STUDY, "pacs", now, 20.0):
            deliveries.record_sent(connection, row, "pacs", "", now, taken=JobState.STORED)
    alive: list[Node] = []
    killed = threading.Event()

    def kill() -> None:
        wait_until(lambda: alive)  # the node may ask before this test has seen that it is ready
        alive[0].kill()
        killed.set()

    pacs.when_asked = kill
    alive.append(running())
    assert killed.wait(PATIENCE)
    report = CommitmentResult(pacs.asked[0].transaction_uid, frozenset(pacs.asked[0].references), {})
    node = alive[0]
    node.start()
    assert (len(pacs.asked), states(ledger)) == (1, ["stored"])
    call(node, report, patiently=False)
    node.kill()
    node.start()
    assert call(node, report) == 0x0000
    assert (states(ledger), len(pacs.asked)) == (["delivered"], 1)


def test_a_question_is_answered_though_the_node_was_killed_behind_it(
    running: Callable[[], Node], pacs: Pacs, ledger: Ledger, tmp_path: Path
) -> None:
    node = running()
    ae = AE("PACS")
    for uid in (COMMITMENT, CTImageStorage):
        ae.add_requested_context(uid, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", node.port, ae_title="READFIRST")
    assert association.send_c_store(save(tmp_path / "one.dcm", image("1.2.826.1"))).Status == 0x0000
    question = Request("2.25.77", (Reference(CTImageStorage, "1.2.826.1"), Reference(CTImageStorage, "1.2.404")))
    status, _ = association.send_n_action(write_request(question), 1, COMMITMENT, INSTANCE)
    node.kill()
    assert status.Status == 0x0000
    with ledger.write() as connection:  # as some seconds later: until then that association might still take the report
        connection.execute(update(JOB).where(JOB.c.kind == "commitment result").values(due_at=0.0))
    node.start()
    wait_until(lambda: pacs.heard)
    one, other = question.references
    assert pacs.heard == [CommitmentResult("2.25.77", frozenset({one}), {other: 0x0112})]
