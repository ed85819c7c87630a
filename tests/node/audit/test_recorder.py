"""What the node's parts do, as the waiting messages show: real associations, a real ledger."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import Association
from pynetdicom.sop_class import UnifiedProcedureStepPull
from sqlalchemy import text

from node import scp
from node.admission.associations import AssociationRegistry, StoreCounts, StoreResult
from node.admission.policy import Caller
from node.audit import Recorder, unaudited
from node.audit.alarms import WINDOW
from node.audit.codes import NODE_AUTHENTICATION
from node.entities import JobKind
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.receiving.c_store import Receiver
from node.receiving.instances import record_instance
from node.receiving.store import Store
from node.sending import scu
from node.settings import Peer, Settings
from node.settings.audit import Audit
from tests.node.audit.schema import faults
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE, PATIENT_ID, STUDY, image, save, stored
from tests.waiting import wait_until

CT = (CTImageStorage, ExplicitVRLittleEndian)
MODALITY = Caller("READFIRST", "MODALITY", "127.0.0.1")
PACS = Peer(ae_title="PACS", host="10.0.0.5", receive=("results",))


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(settings: Settings, ledger: Ledger, clock: Clock) -> Recorder:
    return Recorder(settings, ledger, clock)


def told(ledger: Ledger) -> list[Element]:
    """The messages that wait, each as the schema says."""
    with ledger.read() as connection:
        rows = [row["payload"] for row in jobs.find(connection, jobs.of(JobKind.AUDIT_MESSAGE, "file"))]
    assert [faults(row["message"]) for row in rows] == [[]] * len(rows)
    return [fromstring(row["message"]) for row in rows]


def when_told(ledger: Ledger, count: int) -> list[Element]:
    """An association's end is recorded by its thread."""
    wait_until(lambda: len(told(ledger)) >= count)
    return told(ledger)


def event(message: Element) -> tuple[str, str, str]:
    said = message[0]
    return said[0].attrib["csd-code"], said.attrib["EventActionCode"], said.attrib["EventOutcomeIndicator"]


def things(message: Element) -> list[str]:
    return [one.attrib["ParticipantObjectID"] for one in message.iter("ParticipantObjectIdentification")]


def counts(message: Element) -> dict[str, str]:
    return {one.attrib["UID"]: one.attrib["NumberOfInstances"] for one in message.iter("SOPClass")}


def users(message: Element) -> list[str]:
    return [one.attrib["UserID"] for one in message.iter("ActiveParticipant")]


@pytest.fixture
def audited(settings: Settings, ledger: Ledger, recorder: Recorder) -> Any:
    store = Store(settings.node.data, 0)
    store.prepare()
    reads = settings.peers["modality"].model_copy(update={"worklist": ("read",)})
    settings = settings.model_copy(update={"peers": settings.peers | {"modality": reads}})
    associations = AssociationRegistry(settings)
    associations.subscribe(ended=recorder.received)
    house = House(Receiver(settings, ledger, store, associations), [])
    server = scp.start(house.receiver, recorder)
    yield house
    server.ae.shutdown()


def test_an_association_is_one_message_a_study_and_a_second_time_a_read(
    audited: House, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    first, second = image(), image(f"{INSTANCE}.2")
    paths = [save(tmp_path / str(number), one) for number, one in enumerate((first, second))]
    for _ in range(2):
        association = associate(audited, CT)
        assert [association.send_c_store(path).Status for path in paths] == [0, 0]
        association.release()
    new, held = when_told(ledger, 2)
    assert [event(new), event(held)] == [("110104", "C", "0"), ("110104", "R", "0")]
    assert things(new) == things(held) == [STUDY, PATIENT_ID]
    assert counts(new) == counts(held) == {CTImageStorage: "2"}
    assert users(new) == ["MODALITY", "READFIRST"]


def test_a_study_of_two_patients_has_a_message_for_each(
    audited: House, recorder: Recorder, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    """PS3.15 A.5.3.6, A.5.3.7: a message "may only include information about a single patient"."""
    association = associate(audited, CT)
    for number, patient_id in enumerate((PATIENT_ID, "OTHER^1", PATIENT_ID)):
        instance = image(f"{INSTANCE}.{number}", PatientID=patient_id)
        assert association.send_c_store(save(tmp_path / str(number), instance)).Status == 0
    association.release()
    received = when_told(ledger, 2)
    assert [things(one) for one in received] == [[STUDY, PATIENT_ID], [STUDY, "OTHER^1"]]
    assert [counts(one)[CTImageStorage] for one in received] == ["2", "1"]
    recorder.shown("10.0.0.9", STUDY)
    assert [things(one) for one in told(ledger)[2:]] == [[STUDY, PATIENT_ID], [STUDY, "OTHER^1"]]


def test_an_aborted_association_is_told_too(
    audited: House, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    association = associate(audited, CT)
    assert association.send_c_store(save(tmp_path / "sent", image())).Status == 0
    association.abort()
    (message,) = when_told(ledger, 1)
    assert (event(message), counts(message)) == (("110104", "C", "0"), {CTImageStorage: "1"})


def test_who_is_not_let_in_is_an_alert(audited: House, associate: Callable[..., Association], ledger: Ledger) -> None:
    assert not associate(audited, CT, calling="STRANGER").is_established
    (message,) = when_told(ledger, 1)
    assert event(message) == ("110113", "E", "8")
    assert message[0][1].attrib["csd-code"] == "110126"
    assert (users(message), things(message)) == (["READFIRST", "STRANGER"], ["127.0.0.1"])


def test_a_query_of_the_worklist_is_told_with_its_keys(
    audited: House, associate: Callable[..., Association], ledger: Ledger
) -> None:
    association = associate(audited, (UnifiedProcedureStepPull, ImplicitVRLittleEndian))
    keys = image()
    for element in list(keys):
        if element.keyword not in ("PatientID", "StudyInstanceUID"):
            del keys[element.tag]
    list(association.send_c_find(keys, UnifiedProcedureStepPull))
    (message,) = when_told(ledger, 1)
    assert (event(message), things(message)) == (("110112", "E", "0"), [UnifiedProcedureStepPull])
    assert PATIENT_ID.encode() in b64decode(message.findtext(".//ParticipantObjectQuery") or "")


def test_who_may_not_query_the_worklist_is_an_alert_and_no_query(
    audited: House, associate: Callable[..., Association], ledger: Ledger
) -> None:
    association = associate(audited, (UnifiedProcedureStepPull, ImplicitVRLittleEndian), calling="READER")
    keys = Dataset()
    keys.PatientID = PATIENT_ID
    ((status, _),) = association.send_c_find(keys, UnifiedProcedureStepPull)
    (message,) = when_told(ledger, 1)
    assert (status.Status, event(message)) == (0x0124, ("110113", "E", "8"))
    assert "READER" in users(message)


def test_of_one_address_what_differs_is_told_and_what_is_the_same_is_counted(
    recorder: Recorder, ledger: Ledger
) -> None:
    for ae_title in ("UNKNOWN", "ELSEWHERE", "UNKNOWN", "UNKNOWN"):
        recorder.rejected(ae_title, "10.0.0.9", "association rejected: name it")
    assert [set(users(one)) & {"UNKNOWN", "ELSEWHERE"} for one in told(ledger)] == [{"UNKNOWN"}, {"ELSEWHERE"}]
    for number in range(50):
        recorder.rejected(f"X{number}", "10.0.0.9", "association rejected: name it")
    assert len(told(ledger)) < 20


def test_what_succeeded_and_what_did_not_are_a_message_each(recorder: Recorder, ledger: Ledger) -> None:
    received = StoreCounts()
    for status in (0, 0, 0xA700):
        received.add(StoreResult(CTImageStorage, status, STUDY, 10))
    recorder.received(MODALITY, {STUDY: {"": received}})
    recorder.sent(PACS, STUDY, {CTImageStorage: 1}, {CTImageStorage: 2}, "the peer refused it with status 0xA700")
    messages = told(ledger)
    assert [event(one) for one in messages] == [
        ("110104", "C", "0"), ("110104", "C", "4"), ("110104", "R", "0"), ("110104", "R", "4"),
    ]  # fmt: skip
    assert [counts(one)[CTImageStorage] for one in messages] == ["2", "1", "1", "2"]
    assert "0xA700" in (messages[1].findtext(".//EventOutcomeDescription") or "")
    assert users(messages[3]) == ["READFIRST", "PACS"]


def test_sending_is_told_before_and_after(recorder: Recorder, ledger: Ledger) -> None:
    recorder.sending(PACS, STUDY, {CTImageStorage: 1})
    recorder.sent(PACS, STUDY, {CTImageStorage: 1}, {}, "")
    assert [event(one)[0] for one in told(ledger)] == ["110102", "110104"]


def test_our_own_query_is_told(recorder: Recorder, ledger: Ledger) -> None:
    recorder.asked(PACS, *scu.study_query(STUDY))
    (message,) = told(ledger)
    assert (event(message), users(message)) == (("110112", "E", "0"), ["READFIRST", "PACS"])
    assert STUDY.encode() in b64decode(message.findtext(".//ParticipantObjectQuery") or "")


def test_pictures_belong_to_the_page_that_shows_them(recorder: Recorder, ledger: Ledger, clock: Clock) -> None:
    recorder.shown("10.0.0.9", STUDY)
    recorder.shown("10.0.0.9", STUDY, part=True)
    recorder.shown("10.0.0.8", STUDY, part=True)  # without the page
    clock.now += 3600
    recorder.shown("10.0.0.9", STUDY, part=True)
    assert [users(one)[0] for one in told(ledger)] == ["10.0.0.9", "10.0.0.8", "10.0.0.9"]


def test_who_knocks_again_and_again_is_told_once_a_minute(recorder: Recorder, ledger: Ledger, clock: Clock) -> None:
    for _ in range(500):
        recorder.rejected("STRANGER", "10.0.0.66", "not known")
    recorder.rejected("STRANGER", "10.0.0.67", "not known")
    assert len(told(ledger)) == 2
    clock.now += WINDOW
    recorder.flush()
    recorder.flush()
    *_, last = told(ledger)
    assert len(told(ledger)) == 3
    detail = last.find(".//ParticipantObjectDetail")
    assert detail is not None
    assert b"499 times" in b64decode(detail.attrib["value"])
    assert last[0][1].attrib["csd-code"] == NODE_AUTHENTICATION.value


def test_what_the_node_was_killed_before_it_told_is_told_at_the_next_start(
    audited: House,
    associate: Callable[..., Association],
    ledger: Ledger,
    settings: Settings,
    clock: Clock,
    tmp_path: Path,
) -> None:
    clock.now = time.time() - 60
    Recorder(settings, ledger, clock).started()
    association = associate(audited, CT)
    assert association.send_c_store(save(tmp_path / "sent", image())).Status == 0
    clock.now = time.time()  # and the association never ends: a new process starts
    Recorder(settings, ledger, clock).started()
    Recorder(settings, ledger, clock).started()
    assert [event(one)[0] for one in told(ledger)] == ["110100", "110100", "110104", "110100"]
    message = told(ledger)[2]
    assert (users(message), counts(message)) == (["MODALITY", "READFIRST"], {CTImageStorage: "1"})
    assert "ended before" in (message.findtext(".//EventOutcomeDescription") or "")


class Killed(BaseException):
    """As a kill -9 in the middle of it."""


def test_what_ends_the_node_at_each_start_is_tried_three_times_and_shown(
    ledger: Ledger, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recorder(settings, ledger, clock).started()
    clock.now += 1
    with ledger.write() as connection:
        record_instance(connection, stored(), "MODALITY", clock.now)
    clock.now += 1
    with monkeypatch.context() as patch:
        patch.setattr("node.audit.events.transferred", raise_killed)
        for _ in range(unaudited.MOST_ATTEMPTS):
            with pytest.raises(Killed):
                Recorder(settings, ledger, clock).started()
        Recorder(settings, ledger, clock).started()
        Recorder(settings, ledger, clock).started()
    with ledger.read() as connection:
        (row,) = jobs.troubled(connection, 10)
        assert unaudited.find(connection) == ()
    assert (row["kind"], row["state"], row["attempts"]) == (JobKind.AUDIT_RECOVERY, "failed", 4)
    assert "no audit message names it" in row["last_error"]


def raise_killed(*_: object, **__: object) -> None:
    raise Killed


def test_what_was_told_is_not_told_again_at_the_next_start(
    audited: House,
    associate: Callable[..., Association],
    ledger: Ledger,
    settings: Settings,
    clock: Clock,
    tmp_path: Path,
) -> None:
    clock.now = time.time() - 60
    Recorder(settings, ledger, clock).started()
    clock.now = time.time() + 1
    association = associate(audited, CT)
    assert association.send_c_store(save(tmp_path / "sent", image())).Status == 0
    association.release()
    assert len(when_told(ledger, 2)) == 2
    association.join(10)
    Recorder(settings, ledger, clock).started()
    assert [event(one)[0] for one in told(ledger)] == ["110100", "110104", "110100"]


def test_patients_are_left_out_where_the_settings_say_so(settings: Settings, ledger: Ledger) -> None:
    recorder = Recorder(settings.model_copy(update={"audit": Audit(patients=False)}), ledger)
    recorder.shown("10.0.0.9", STUDY)
    recorder.searched("10.0.0.9", "/dicomweb/workitems", f"PatientID={PATIENT_ID}")
    shown, searched = told(ledger)
    assert things(shown) == [STUDY, "withheld"]
    assert searched.findtext(".//ParticipantObjectQuery") == ""


def test_without_a_sink_nothing_is_written(settings: Settings, ledger: Ledger) -> None:
    recorder = Recorder(settings.model_copy(update={"audit": Audit(sinks=())}), ledger)
    recorder.started()
    recorder.received(MODALITY, {STUDY: {}})
    with ledger.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM job")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM audited")).scalar() == 0


def test_a_ledger_that_takes_nothing_hinders_nobody_and_loses_nothing(recorder: Recorder, ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("ALTER TABLE job RENAME TO away"))
    recorder.rejected("STRANGER", "10.0.0.66", "not known")
    recorder.stopped()
    with ledger.write() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO job"))
    recorder.flush()
    assert [event(one)[0] for one in told(ledger)] == ["110113", "110100"]
