"""Deliveries over real associations to a real storage SCP, and into a real folder; the ledger says how they fared."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from ports import free_port
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from sqlalchemy import select, update
from structlog.testing import capture_logs

from node import durable
from node.entities import JobState, ResultObject
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.jobs import LEASE
from node.ledger.tables import EVENT, JOB
from node.receiving import instances
from node.sending import deliveries, scu
from node.sending.deliveries import DELIVERY
from node.settings import Peer, Settings
from tests.node import phantoms
from tests.node.audit.test_recorder import counts, event, things, told, users
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import image, part10
from workers import lease
from workers.delivery.deliver import Deliverer

KINDS = (
    ("2.25.1", "segmentation", SegmentationStorage),
    ("2.25.2", "regions", Comprehensive3DSRStorage),
    ("2.25.3", "statement", Comprehensive3DSRStorage),
)
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@dataclass
class Pacs:
    """A storage SCP: what it answers is `answer`, what it saw is here."""

    peer: Peer = field(init=False)
    answer: Callable[[evt.Event], int] = lambda _event: 0x0000
    associations: list[str] = field(default_factory=list)  # who called
    came: list[str] = field(default_factory=list)  # SOP Instance UIDs

    def on_store(self, event: evt.Event) -> int:
        self.came.append(str(event.request.AffectedSOPInstanceUID))
        return self.answer(event)


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    with ExitStack() as stack:
        pacs, ae = Pacs(), AE("PACS")
        for uid in (SegmentationStorage, Comprehensive3DSRStorage):
            ae.add_supported_context(uid, ExplicitVRLittleEndian)
        handlers = [
            (evt.EVT_ACCEPTED, lambda event: pacs.associations.append(event.assoc.requestor.ae_title)),
            (evt.EVT_C_STORE, pacs.on_store),
        ]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        stack.callback(ae.shutdown)
        pacs.peer = Peer(ae_title="PACS", host="127.0.0.1", port=server.server_address[1], receive=("results",))
        yield pacs


def results(data: Path) -> list[ResultObject]:
    """Three objects of ours on disk."""
    folder = data / "results" / UID
    folder.mkdir(parents=True)
    made = []
    for uid, kind, sop_class_uid in KINDS:
        dataset = phantoms.encoded(image(uid, SOPClassUID=sop_class_uid))
        (folder / f"{uid}.dcm").write_bytes(part10(dataset, sop_instance_uid=uid, sop_class_uid=sop_class_uid))
        path = f"results/{UID}/{uid}.dcm"
        made.append(ResultObject(uid, sop_class_uid, "2.25.9", "chest-xray", kind, path))
    return made


def known_results() -> list[ResultObject]:
    """What `results` made, without making it again."""
    paths = {uid: f"results/{UID}/{uid}.dcm" for uid, _, _ in KINDS}
    return [ResultObject(uid, sop, "2.25.9", "chest-xray", kind, paths[uid]) for uid, kind, sop in KINDS]


@pytest.fixture
def due(ledger: Ledger, tmp_path: Path) -> Ledger:
    """The study's three objects, due for the peer `pacs`."""
    now = time.time()
    with ledger.write() as connection:
        instances.record_instance(connection, phantoms.stored(), "MODALITY", now)
        deliveries.put(connection, UID, 1, results(tmp_path), ["pacs"], now)
    return ledger


@pytest.fixture
def deliverer(settings: Settings, due: Ledger) -> Iterator[Callable[..., Deliverer]]:
    """Make a worker that knows these peers; it works on the very ledger of the test."""
    with ExitStack() as stack:

        def deliverer(**peers: Peer) -> Deliverer:
            made = Deliverer(settings.model_copy(update={"peers": peers}))
            stack.callback(made.ledger.close)
            return made

        yield deliverer


@dataclass(frozen=True)
class Row:
    """How the delivery of one object stands."""

    state: str
    attempts: int
    last_error: str
    next_attempt_at: float
    lease_until: float | None


def rows(ledger: Ledger) -> list[Row]:
    query = select(*(DELIVERY.c[name] for name in Row.__dataclass_fields__)).order_by(DELIVERY.c.id)
    with ledger.read() as connection:
        return [Row(*row) for row in connection.execute(query)]


def states(ledger: Ledger) -> list[str]:
    return [row.state for row in rows(ledger)]


def errors(ledger: Ledger) -> list[str]:
    return [row.last_error for row in rows(ledger)]


def story(ledger: Ledger, kind: str) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(EVENT.c.detail).where(EVENT.c.kind == kind)).scalars())


def assert_all_wait(ledger: Ledger, said: str) -> None:
    """Nothing is delivered, nothing stays claimed, and each object says why."""
    for row in rows(ledger):
        assert (row.state, row.attempts, row.lease_until) == (JobState.PENDING, 1, None)
        assert said in row.last_error
        assert row.next_attempt_at > time.time() - 60


def retry(ledger: Ledger) -> int:
    with ledger.write() as connection:
        return jobs.retry(connection, UID, time.time())


def test_a_study_goes_out_over_one_association(deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs) -> None:
    with capture_logs() as logs:
        deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert pacs.associations == ["READFIRST"]
    assert pacs.came == [uid for uid, _, _ in KINDS]
    assert [(row.state, row.attempts, row.last_error) for row in rows(due)] == [("delivered", 1, "")] * 3
    assert story(due, "delivered") == ["3 objects to pacs: segmentation, regions, statement"]
    assert [(log["event"], log["log_level"], log["stored"]) for log in logs] == [("delivered", "info", 3)]


def test_what_a_receiver_took_that_can_be_asked_is_not_delivered_yet_and_not_sent_again(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    pacs.answer = lambda event: 0xC000 if event.request.AffectedSOPInstanceUID == "2.25.2" else 0x0000
    worker = deliverer(pacs=pacs.peer.model_copy(update={"query": True}))
    worker.run(UID, "pacs")
    worker.run(UID, "pacs")
    assert states(due) == ["stored", "pending", "stored"]
    assert (story(due, "delivered"), len(story(due, "stored"))) == ([], 1)
    assert len(pacs.came) == 3
    with due.write() as connection:  # the very same results once more: nothing is sent again
        deliveries.put(connection, UID, 1, known_results(), ["pacs"], time.time())
    assert states(due) == ["stored", "pending", "stored"]


def test_a_second_message_sends_nothing(deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs) -> None:
    worker = deliverer(pacs=pacs.peer)
    worker.run(UID, "pacs")
    worker.run(UID, "pacs")
    worker.run(UID, "other")
    worker.run("1.2.99", "pacs")
    assert (len(pacs.associations), len(pacs.came)) == (1, 3)
    assert [row.attempts for row in rows(due)] == [1] * 3


def test_a_warning_is_a_success(deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs) -> None:
    pacs.answer = lambda _event: 0xB000
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert (states(due), errors(due)) == (["delivered"] * 3, [""] * 3)


@pytest.mark.parametrize("status", [0xA700, 0xC000])
def test_a_refused_object_waits_longer_each_time_and_says_the_status(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs, status: int
) -> None:
    pacs.answer = lambda _event: status
    worker = deliverer(pacs=pacs.peer)
    for attempt, pause in enumerate((5.0, 15.0, 45.0), start=1):
        before = time.time()
        worker.run(UID, "pacs")
        after = time.time()
        for row in rows(due):
            assert (row.state, row.attempts, row.lease_until) == (JobState.PENDING, attempt, None)
            assert row.last_error == f"the peer refused it with status 0x{status:04X}"
            assert before + 0.75 * pause <= row.next_attempt_at <= after + 1.25 * pause
        worker.run(UID, "pacs")  # not yet: nothing is sent before its time
        assert len(pacs.associations) == attempt
        assert retry(due) == 3
    assert len(story(due, "not delivered")) == 9
    assert f"status 0x{status:04X}; tried again in " in story(due, "not delivered")[0]


def test_what_was_taken_is_not_sent_again_with_what_was_refused(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    pacs.answer = lambda event: 0xC000 if event.request.AffectedSOPInstanceUID == "2.25.2" else 0x0000
    worker = deliverer(pacs=pacs.peer)
    worker.run(UID, "pacs")
    assert states(due) == ["delivered", "pending", "delivered"]
    assert story(due, "delivered") == ["2 objects to pacs: segmentation, statement"]
    pacs.answer = lambda _event: 0x0000
    retry(due)
    worker.run(UID, "pacs")
    assert pacs.came == ["2.25.1", "2.25.2", "2.25.3", "2.25.2"]
    assert (states(due), errors(due)) == (["delivered"] * 3, [""] * 3)


def test_a_peer_that_aborts_gets_later_what_it_did_not_take(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    def abort_on_the_second(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == "2.25.2":
            event.assoc.abort()
        return 0x0000

    pacs.answer = abort_on_the_second
    worker = deliverer(pacs=pacs.peer)
    worker.run(UID, "pacs")
    assert states(due) == ["delivered", "pending", "pending"]
    assert errors(due) == ["", "the peer did not answer", "the peer ended the association"]
    assert [row.lease_until for row in rows(due)] == [None] * 3
    pacs.answer = lambda _event: 0x0000
    assert retry(due) == 2
    worker.run(UID, "pacs")
    assert (len(pacs.associations), states(due)) == (2, ["delivered"] * 3)


@refusal_is_meant
def test_a_peer_that_is_down_is_said_and_retry_makes_it_due_at_once(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    deliverer(pacs=pacs.peer.model_copy(update={"port": free_port()})).run(UID, "pacs")
    assert_all_wait(due, "cannot be reached")
    with due.read() as connection:
        assert deliveries.due(connection, time.time(), time.time()) == []
    assert retry(due) == 3
    with due.read() as connection:
        assert deliveries.due(connection, time.time(), time.time()) == [(UID, "pacs")]
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert states(due) == ["delivered"] * 3


@pytest.mark.parametrize("content", [None, b"", b"no DICOM at all"], ids=["missing", "empty", "no DICOM"])
def test_a_result_that_cannot_be_read_says_so_and_the_others_go_out(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs, tmp_path: Path, content: bytes | None
) -> None:
    bad = tmp_path / "results" / UID / "2.25.2.dcm"
    bad.unlink()
    if content is not None:
        bad.write_bytes(content)
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert states(due) == ["delivered", "pending", "delivered"]
    row = rows(due)[1]
    assert row.last_error.startswith("the file cannot be read: ")
    assert (row.attempts, row.lease_until) == (1, None)


def test_a_peer_that_is_no_longer_configured_is_said(deliverer: Callable[..., Deliverer], due: Ledger) -> None:
    deliverer().run(UID, "pacs")
    assert_all_wait(due, "peer pacs is no longer configured to receive results")


def test_a_peer_that_no_longer_receives_results_gets_none(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    deliverer(pacs=pacs.peer.model_copy(update={"receive": ()})).run(UID, "pacs")
    assert_all_wait(due, "peer pacs is no longer configured to receive results")
    assert pacs.associations == []


def test_a_bug_of_ours_leaves_no_object_claimed_and_says_no_value(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_arguments: object) -> Sequence[scu.SendResult]:
        raise ZeroDivisionError(phantoms.PATIENT_NAME)

    monkeypatch.setattr(scu, "store", break_down)
    with capture_logs() as logs:
        deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert_all_wait(due, "ZeroDivisionError in our software; see the worker's log")
    assert not [error for error in errors(due) + story(due, "not delivered") if phantoms.PATIENT_NAME in error]
    assert [log["event"] for log in logs if log.get("exc_info")] == ["delivery failed"]
    assert phantoms.PATIENT_NAME not in repr(logs)


def test_a_delivery_without_the_certificate_that_it_needs_is_said(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    deliverer(pacs=pacs.peer.model_copy(update={"tls": True})).run(UID, "pacs")
    assert_all_wait(due, "[node] tls names no certificate")


def test_what_a_dead_worker_had_claimed_is_due_again_after_its_lease(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs
) -> None:
    assert LEASE == 20.0
    now = time.time()
    with due.write() as connection:
        assert len(deliveries.claim(connection, UID, "pacs", now, LEASE)) == 3  # and then it dies
        assert deliveries.due(connection, now + LEASE - 1, now + LEASE - 1) == []
        assert deliveries.due(connection, now + LEASE + 1, now + LEASE + 1) == [(UID, "pacs")]
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert pacs.associations == []  # it may still live
    with due.write() as connection:
        connection.execute(JOB.update().values(lease_until=time.time() - 0.001))
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert states(due) == ["delivered"] * 3


def test_the_claim_is_for_20_seconds(deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs) -> None:
    seen: list[float | None] = []

    def look(_event: evt.Event) -> int:
        seen.extend(row.lease_until for row in rows(due))
        return 0x0000

    pacs.answer = look
    before = time.time()
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert len(seen) == 9
    assert all(until and before + 20 <= until <= time.time() + 20 for until in seen)


def test_the_lease_is_extended_while_it_sends(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_EXTEND_AGAIN", 0.01)
    seen: list[float] = []

    def wait_for_renewal(_event: evt.Event) -> int:
        deadline = time.monotonic() + 10
        while len(set(seen)) < 3 and time.monotonic() < deadline:
            seen.extend(row.lease_until for row in rows(due) if row.lease_until)
        return 0x0000

    pacs.answer = wait_for_renewal
    before = time.time()
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    assert len(set(seen)) >= 3
    assert seen == sorted(seen)
    assert before + LEASE <= seen[0] <= seen[-1] <= time.time() + LEASE
    assert [row.lease_until for row in rows(due)] == [None] * 3


def test_what_was_sent_is_written_down_when_the_ledger_takes_it_again(
    deliverer: Callable[..., Deliverer], due: Ledger, pacs: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_AGAIN", 0.01)
    worker = deliverer(pacs=pacs.peer)
    worker.ledger = Ledger(f"{due.url}?timeout=0.01")
    locked, events = due.write(), list[str]()

    def lock(_event: evt.Event) -> int:
        if len(pacs.came) == 3:
            locked.__enter__()
        return 0x0000

    def said(_logger: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        events.append(line["event"])
        if line["event"].startswith("the result cannot"):
            locked.__exit__(None, None, None)
        raise structlog.DropEvent

    pacs.answer = lock
    with capture_logs(processors=[said]):
        worker.run(UID, "pacs")
    told = [event for event in events if "audit" not in event]
    assert told == ["the result cannot be recorded yet", "delivered"]
    assert (states(due), len(pacs.came)) == (["delivered"] * 3, 3)


def test_nobody_renews_when_the_work_is_over(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_EXTEND_AGAIN", 0.001)
    renewals, enough, before = [], threading.Event(), threading.active_count()

    def renew(_connection: object, until: float) -> None:
        renewals.append(until)
        enough.set()

    with pytest.raises(ZeroDivisionError), lease.extended(ledger, renew):
        assert enough.wait(60)
        raise ZeroDivisionError
    assert threading.active_count() == before
    assert renewals == sorted(renewals)


def test_a_folder_is_a_peer_that_gets_whole_files(
    deliverer: Callable[..., Deliverer], due: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, listings, sync = tmp_path / "out", [], os.fdatasync

    def look(descriptor: int) -> None:
        listings.append({path.name for path in folder.rglob("*") if path.is_file()})
        sync(descriptor)

    monkeypatch.setattr(durable.os, "fdatasync", look)
    mask = os.umask(0o022)
    try:
        deliverer(pacs=Peer(folder=folder, receive=("results",))).run(UID, "pacs")
    finally:
        os.umask(mask)
    assert states(due) == ["delivered"] * 3
    sent, came = tmp_path / "results" / UID, folder / UID
    assert {path.name: path.read_bytes() for path in came.iterdir()} == {
        path.name: path.read_bytes() for path in sent.iterdir()
    }
    assert [stat.S_IMODE(path.stat().st_mode) for path in came.iterdir()] == [0o644] * 3
    assert stat.S_IMODE(came.stat().st_mode) == 0o755
    for number, (listing, (uid, _, _)) in enumerate(zip(listings, KINDS, strict=True)):
        whole = {name for name in listing if not name.endswith(".part")}
        assert f"{uid}.dcm" not in whole  # while its bytes were not safe it had another name
        assert (len(whole), len(listing)) == (number, number + 1)


def test_a_full_disk_leaves_neither_a_file_nor_a_part(
    deliverer: Callable[..., Deliverer], due: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable.os, "fdatasync", full)
    deliverer(pacs=Peer(folder=tmp_path / "out", receive=("results",))).run(UID, "pacs")
    assert_all_wait(due, f"the folder {tmp_path / 'out'} did not take it: No space left on device")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_said(
    deliverer: Callable[..., Deliverer], due: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    deliverer(pacs=Peer(folder=tmp_path / "file" / "out", receive=("results",))).run(UID, "pacs")
    assert_all_wait(due, f"the folder {tmp_path / 'file' / 'out'} did not take it: Not a directory")


def test_a_result_that_is_missing_is_not_the_folders_fault(
    deliverer: Callable[..., Deliverer], due: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "results" / UID / "2.25.2.dcm").unlink()
    deliverer(pacs=Peer(folder=tmp_path / "out", receive=("results",))).run(UID, "pacs")
    assert states(due) == ["delivered", "pending", "delivered"]
    assert errors(due)[1] == "the file cannot be read: No such file or directory"


def test_a_delivery_is_told_to_the_audit_trail_before_and_after(
    due: Ledger, deliverer: Callable[..., Deliverer], pacs: Pacs
) -> None:
    pacs.answer = lambda event: 0x0000 if event.request.AffectedSOPInstanceUID == "2.25.1" else 0xA700
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    messages = told(due)
    assert [event(one) for one in messages] == [("110102", "E", "0"), ("110104", "R", "0"), ("110104", "R", "4")]
    assert counts(messages[0]) == {SegmentationStorage: "1", Comprehensive3DSRStorage: "2"}
    assert counts(messages[1]) == {SegmentationStorage: "1"}
    assert counts(messages[2]) == {Comprehensive3DSRStorage: "2"}
    assert users(messages[0]) == ["READFIRST", "PACS"]
    assert "0xA700" in (messages[2].findtext(".//EventOutcomeDescription") or "")


def test_objects_of_two_patients_have_audit_messages_of_their_own(
    due: Ledger, deliverer: Callable[..., Deliverer], pacs: Pacs, tmp_path: Path
) -> None:
    other = phantoms.encoded(image("2.25.2", SOPClassUID=Comprehensive3DSRStorage, PatientID="OTHER"))
    (tmp_path / "results" / UID / "2.25.2.dcm").write_bytes(
        part10(other, sop_instance_uid="2.25.2", sop_class_uid=Comprehensive3DSRStorage)
    )
    deliverer(pacs=pacs.peer).run(UID, "pacs")
    messages = [(event(one)[0], things(one)[1], sum(map(int, counts(one).values()))) for one in told(due)]
    patients = ((phantoms.PATIENT_ID, 2), ("OTHER", 1))
    assert messages == [(code, *patient) for code in ("110102", "110104") for patient in patients]


def test_files_in_a_folder_are_as_readable_as_the_folder(
    due: Ledger, deliverer: Callable[..., Deliverer], tmp_path: Path
) -> None:
    folder = tmp_path / "results-folder"
    folder.mkdir()
    folder.chmod(0o750)
    with due.write() as connection:
        connection.execute(update(JOB).values(lane="files"))
    before = os.umask(0o077)
    try:
        deliverer(files=Peer(folder=folder, receive=("results",))).run(UID, "files")
    finally:
        os.umask(before)
    (inside,) = folder.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (inside, *inside.iterdir())] == [0o750, *[0o640] * 3]
