"""The senders of notices: what is raised is told once, acknowledged, retried; a person has the last word."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hl7 as reference
import pytest
from ports import free_port
from pydicom import Dataset
from sqlalchemy import select, update
from structlog.testing import capture_logs

from node.dispatch.embedded_redis import EmbeddedRedis
from node.entities import AnalysisReport, FoundFinding, StudyState
from node.errors import NotAccepted, NotTaken, ReadFirstError, SinkUnreachable
from node.ledger import jobs, studies
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import EVENT, JOB
from node.receiving import instances
from node.settings import Hl7Sink, Peer, Policy, Settings, UpsSink, Webhook, Worklist, load
from node.worklist.events.writing import save
from node.worklist.items.json_model import from_dataset
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.items.rows import load as load_item
from node.worklist.reading.data_set import reading_uid
from node.worklist.reading.work_items import ensure_item, raise_priority
from node.worklist.sinks import make_sinks, notices
from node.worklist.sinks.facts import Notice
from node.worklist.sinks.hl7 import Hl7
from node.worklist.sinks.notices import NOTICE
from node.worklist.sinks.sender import SinkSender, sending
from node.worklist.sinks.template import Template
from node.worklist.triage.decisions import Analysed, decide_study
from node.worklist.ups import operations
from tests.node.phantoms import claim, stored
from tests.node.worklist.scu import LOCK, change
from tests.node.worklist.sinks.phantoms import NOW, STUDY, Hl7Receiver, acknowledgement, control_id, header, raised
from tests.waiting import at_most, wait_until

ROOT = Path(__file__).parents[4]


@dataclass
class Told:
    """A sink that keeps what it is told and does what the test says."""

    errors: list[ReadFirstError | Exception | None] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    where: str = "nowhere"
    longest: float = 1.0
    least: Priority = Priority.HIGH
    meanwhile: Callable[[], object] = lambda: None

    def reach(self) -> str:
        return self.where

    def preview(self, notice: Notice) -> str:
        return notice.reason

    def send(self, notice: Notice) -> str:
        self.notices.append(notice)
        self.meanwhile()
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error
        return f"taken {notice.control_id}"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> Told:
    return Told()


@pytest.fixture
def sender(sink: Told, ledger: Ledger, clock: Clock) -> SinkSender:
    return SinkSender("hl7", sink, ledger, clock)


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(select(NOTICE).order_by(NOTICE.c.id)).mappings()]


def story(ledger: Ledger, kind: str) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(EVENT.c.detail).where(EVENT.c.kind == kind)).scalars())


def set_priority(ledger: Ledger, priority: str) -> None:
    """A person's N-SET."""
    values = Dataset()
    values.ScheduledProcedureStepPriority = priority
    with ledger.write() as connection:
        operations.modify(connection, reading_uid(STUDY), from_dataset(values)[0], NOW)


@pytest.mark.parametrize(("least", "told"), [(Priority.HIGH, []), (Priority.MEDIUM, ["MEDIUM"])])
def test_what_stays_routine_is_told_only_where_that_lowers_nothing(
    ledger: Ledger, sender: SinkSender, sink: Told, least: Priority, told: list[str]
) -> None:
    sink.least = least
    with ledger.write() as connection:
        uid = ensure_item(connection, header(), NOW)
        item = load_item(connection, uid)
        assert item is not None
        save(connection, replace(item, priority=Priority.LOW), NOW)
        raise_priority(connection, STUDY, RequestedPriority(Priority.MEDIUM, "nodule"), NOW)
    sender.step()
    assert [notice.priority for notice in sink.notices] == told
    with ledger.write() as connection:
        raise_priority(connection, STUDY, RequestedPriority(Priority.HIGH, "pneumothorax"), NOW)
    sender.step()
    assert [notice.priority for notice in sink.notices] == [*told, "HIGH"]


def test_hl7_and_fhir_are_told_of_alerts_alone() -> None:
    hook = Webhook(url="https://fhir.example/r4")
    worklist = Worklist(sinks=("hl7", "webhook", "ups"), hl7=Hl7Sink(host="h"), webhook=hook, ups=UpsSink(peer="ris"))
    settings = Settings(peers={"ris": Peer(ae_title="RIS", host="h")}, worklist=worklist)
    least = {name: sink.least.value for name, sink in make_sinks(settings).items()}
    assert least == {"hl7": "HIGH", "webhook": "HIGH", "ups": "MEDIUM"}


def test_a_notice_says_nothing_of_a_package_in_shadow_mode(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    loud = FoundFinding("chest-ct", "Nodule", "score", 0.9, 0.5, True, "", "HIGH")
    quiet = FoundFinding("chest-xray", "Secret", "probability", 0.9, 0.5, True, "", "HIGH")
    policy = Policy(shadow=("chest-xray",))
    with ledger.write() as connection:
        ensure_item(connection, header(), NOW)
        instances.record_instance(connection, stored(study_instance_uid=STUDY), "CR", NOW)
        report = AnalysisReport(StudyState.ANALYSED, "", findings=(loud, quiet))
        claim(connection, STUDY)
        assert studies.finish(connection, STUDY, 1, report, NOW)
        decide_study(connection, Analysed(STUDY, 1, report.findings), policy, NOW)
    sender.step()
    (told,) = sink.notices
    assert [finding["label"] for finding in told.content["findings"]] == ["Nodule"]
    assert "Secret" not in json.dumps(told.content) + told.reason


def test_a_raised_priority_is_sent_once_and_acknowledged(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    sender.step()
    raised(ledger)
    for _round in range(3):
        sender.step()
    (row,), (told,) = rows(ledger), sink.notices
    assert (row["state"], row["attempts"], row["delivered_at"]) == ("delivered", 1, NOW)
    assert (told.priority, told.study_instance_uid, told.work_item_uid) == ("HIGH", STUDY, reading_uid(STUDY))
    assert row["acknowledgement"] == f"taken {told.control_id}"
    assert story(ledger, "notified") == [f"HIGH to hl7, acknowledged: taken {told.control_id}"]


def test_what_nobody_raised_is_not_told(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    raised(ledger)
    set_priority(ledger, "HIGH")
    sender.step()
    assert (sink.notices, rows(ledger)) == ([], [])


def test_what_was_raised_while_the_node_was_down_is_told_but_not_yesterdays(ledger: Ledger, clock: Clock) -> None:
    raised(ledger, "1.2.1", NOW - notices.OLDEST - 100)
    raised(ledger, "1.2.2", NOW - notices.OLDEST + 100)
    sink = Told()
    SinkSender("hl7", sink, ledger, clock).step()
    assert [told.study_instance_uid for told in sink.notices] == ["1.2.2"]


def test_not_taken_is_tried_again_with_the_same_content_after_growing_pauses(
    ledger: Ledger, sender: SinkSender, sink: Told, clock: Clock
) -> None:
    sink.errors = [NotTaken("MSA 'AE'") for _ in range(9)]
    raised(ledger)
    pauses: list[float] = []
    for _attempt in range(9):
        sender.step()
        (row,) = rows(ledger)
        assert (row["state"], row["last_error"]) == ("pending", "MSA 'AE'")
        clock.now = row["next_attempt_at"] - 0.1
        sender.step()
        clock.now = row["next_attempt_at"]
        pauses.append(clock.now - NOW - sum(pauses))
    assert len(sink.notices) == 9  # never before its time
    assert 3.75 <= pauses[0] <= 6.25
    assert 11.25 <= pauses[1] <= 18.75
    assert max(pauses) <= 1.25 * notices.LONGEST_PAUSE
    sender.step()
    assert rows(ledger)[0]["state"] == "delivered"
    assert len({replace(told, attempts=0).control_id for told in sink.notices}) == 1
    assert len({str(told.content) for told in sink.notices}) == 1
    assert len(story(ledger, "not notified")) == 3  # a long outage does not fill the study's story


def test_a_refusal_ends_it_until_a_person_tries_again(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    sink.errors = [NotAccepted("the receiver refused the message: MSA 'AR'")]
    raised(ledger)
    sender.step()
    sender.step()
    (row,) = rows(ledger)
    assert (row["state"], row["last_error"]) == ("rejected", "the receiver refused the message: MSA 'AR'")
    assert "not sent again by itself" in story(ledger, "rejected")[0]
    with ledger.write() as connection:
        assert notices.open_counts(connection) == {"pending": 0, "rejected": 1}
        assert jobs.retry(connection, STUDY, NOW) == 1
    sender.step()
    assert rows(ledger)[0]["state"] == "delivered"
    assert sink.notices[0].control_id == sink.notices[1].control_id


def test_a_fault_of_ours_is_postponed_and_the_next_notice_sent(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    sink.errors = [KeyError("O'Mül")]
    raised(ledger, "1.2.1")
    raised(ledger, "1.2.2")
    with capture_logs() as logs:
        sender.step()
    assert [row["state"] for row in rows(ledger)] == ["pending", "delivered"]
    assert "Mül" not in str([log for log in logs if log["event"] != "a notice could not be sent"])


def test_a_sink_that_does_not_answer_is_left_alone_for_a_while(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    sink.errors = [SinkUnreachable("nobody there"), SinkUnreachable("nobody there"), None]
    raised(ledger, "1.2.1")
    raised(ledger, "1.2.2")
    assert sender.step() == 5.0
    assert len(sink.notices) == 1  # the second would have waited for the same timeout
    assert sender.step() == 15.0
    assert [row["attempts"] for row in rows(ledger)] == [1, 1]


def test_a_person_has_the_last_word(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    sink.errors = [NotTaken("later")]
    raised(ledger)
    sender.step()
    set_priority(ledger, "LOW")
    with ledger.write() as connection:
        jobs.retry(connection, STUDY, NOW)
    sender.step()
    assert len(sink.notices) == 1
    assert rows(ledger)[0]["state"] == "superseded"
    assert "a person has changed or claimed" in story(ledger, "not notified")[-1]


def test_a_claimed_item_is_not_told(ledger: Ledger, sender: SinkSender, sink: Told) -> None:
    raised(ledger)
    with ledger.write() as connection:
        operations.change_state(connection, reading_uid(STUDY), from_dataset(change("IN PROGRESS", LOCK))[0], NOW)
    sender.step()
    assert sink.notices == []


def test_an_acknowledgement_counts_though_a_person_spoke_meanwhile(
    ledger: Ledger, sender: SinkSender, sink: Told
) -> None:
    sink.meanwhile = lambda: set_priority(ledger, "LOW")
    raised(ledger)
    sender.step()
    assert rows(ledger)[0]["state"] == "delivered"


def test_two_nodes_on_one_ledger_tell_once(ledger: Ledger, sink: Told, sender: SinkSender, clock: Clock) -> None:
    other = Told()
    sink.meanwhile = lambda: SinkSender("hl7", other, ledger, clock).step()
    raised(ledger)
    sender.step()
    assert (len(sink.notices), other.notices) == (1, [])


def test_a_claim_is_exclusive_until_its_lease_ends(ledger: Ledger) -> None:
    raised(ledger)
    with ledger.write() as connection:
        notices.put(connection, "hl7", reading_uid(STUDY), NOW)
        first, second = (notices.claim(connection, "hl7", NOW, 10.0) for _claim in range(2))
        other = notices.claim(connection, "webhook", NOW, 10.0)
        again = notices.claim(connection, "hl7", NOW + 10.1, 10.0)
    assert first is not None
    assert (second, other) == (None, None)
    assert again == first


def test_each_sink_is_told(ledger: Ledger, sender: SinkSender, sink: Told, clock: Clock) -> None:
    webhook = Told([SinkUnreachable("nobody there")])
    raised(ledger)
    SinkSender("webhook", webhook, ledger, clock).step()
    sender.step()
    assert {row["sink"]: row["state"] for row in rows(ledger)} == {"webhook": "pending", "hl7": "delivered"}


def test_a_sink_that_hangs_hinders_no_other_and_not_the_end(ledger: Ledger) -> None:
    free, told = threading.Event(), threading.Event()
    hanging, prompt = Told(meanwhile=lambda: free.wait(30)), Told(meanwhile=told.set)
    raised(ledger, now=time.time())
    with sending({"hl7": hanging, "webhook": prompt}, ledger):
        assert told.wait(20)
        begun = time.monotonic()
    assert time.monotonic() - begun < at_most(5)
    free.set()


def test_within_a_moment(ledger: Ledger) -> None:
    """The ledger is looked at five times a second; on a busy machine a thread waits for its turn."""
    with Hl7Receiver(lambda message: [acknowledgement("AA", control_id(message))]).running() as receiver:
        table = Hl7Sink(host="127.0.0.1", port=receiver.port)
        with sending({"hl7": Hl7(table, None, Template(table.message, None))}, ledger):
            raised(ledger, now=time.time())
            assert receiver.got.wait(30.0)


@contextmanager
def node(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "node", "node", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_node_that_is_killed_before_it_has_the_acknowledgement_tells_again_under_the_same_control_id(
    acknowledged: bool, tmp_path: Path, redis_server: EmbeddedRedis
) -> None:
    """Killed while the receiver has the message: before it answers, or with the answer just on its way."""
    orders = free_port()
    config, held = tmp_path / "readfirst.toml", threading.Event()

    def answers(message: str) -> list[bytes]:
        if held.is_set():
            return [acknowledgement("AA", control_id(message))]
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        held.set()
        return [acknowledgement("AA", control_id(message))] if acknowledged else [b""]

    with ExitStack() as stack:
        receiver = stack.enter_context(Hl7Receiver(answers).running())
        config.write_text(
            f'[node]\nport = {free_port()}\ndata = "{tmp_path / "var"}"\n[queue]\nurl = "{redis_server.url}"\n'
            f'[worklist]\nsinks = ["hl7"]\n'
            f"[worklist.orders]\nport = {orders}\n"
            f'[worklist.hl7]\nhost = "127.0.0.1"\nport = {receiver.port}\ntimeout = 0.5\n'
        )
        ledger = open_ledger(load(config))
        stack.callback(ledger.close)
        raised(ledger, now=time.time())
        running = stack.enter_context(node(config))
        assert held.wait(30)
        assert rows(ledger)[0]["state"] == "pending"
        stack.enter_context(node(config))
        wait_until(lambda: rows(ledger)[0]["state"] == "delivered")
        socket.create_connection(("127.0.0.1", orders), 10).close()  # the node learns orders, too
    assert len(receiver.messages) == 2
    assert receiver.messages[0] == receiver.messages[1]
    (once,) = {reference.parse(message)["MSH.F10"] for message in receiver.messages}
    assert rows(ledger)[0]["acknowledgement"] == f"MSA AA for {once}"


def test_a_ledger_that_is_gone_for_a_while_stops_no_sender(ledger: Ledger, sink: Told, clock: Clock) -> None:
    sender = SinkSender("hl7", sink, ledger, clock)
    with ledger.write() as connection:
        connection.execute(update(JOB).values(attempts=0))
        connection.exec_driver_sql("ALTER TABLE job RENAME TO away")
    thread = threading.Thread(target=sender.run)
    with capture_logs() as logs:
        thread.start()
        wait_until(lambda: logs)
        with ledger.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO job")
        raised(ledger)
        wait_until(lambda: sink.notices)
        sender.stop()
        thread.join()
    assert logs[0]["event"] == "notices wait"
