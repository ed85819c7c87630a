from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import Association
from structlog.testing import capture_logs

from node.ledger.engine import Ledger
from node.worklist.items import rows
from node.worklist.items.priority import Priority, RequestedPriority, Source
from node.worklist.reading.work_items import ensure_item, raise_priority
from node.worklist.ups.scp import OPERATIONS, SOP_CLASSES, contexts
from tests.node.worklist.scu import (
    LOCK,
    NOW,
    PULL,
    PUSH,
    QUERY,
    STATION,
    STUDY,
    WATCH,
    act,
    create,
    discontinued,
    find,
    get,
    performed,
    pushed,
    reach,
    set_values,
    tag,
)

Scp = Callable[[], Association]
Address = tuple[str, int]
Start = Callable[[Ledger], Address]
Associate = Callable[[Address], Association]
Said = dict[int, int]


def test_a_reading_from_push_to_completed(scp: Scp) -> None:
    association = scp()
    uid = create(association, priority="HIGH")
    (found,), status = find(association, ProcedureStepState="SCHEDULED", SOPInstanceUID="", PatientName="")
    assert (found.SOPInstanceUID, found.PatientName, status) == (uid, "Doe^Jane", 0x0000)
    assert act(association, uid, "IN PROGRESS", LOCK) == 0x0000
    assert act(association, uid, "COMPLETED", LOCK) == 0xC304
    assert set_values(association, uid, performed(), LOCK) == 0x0000
    assert act(association, uid, "COMPLETED", LOCK) == 0x0000
    assert act(association, uid, "COMPLETED", LOCK) == 0xB306
    item = get(association, uid)
    assert item.ProcedureStepState == "COMPLETED"
    step = item.UnifiedProcedureStepPerformedProcedureSequence[0]
    assert step.PerformedWorkitemCodeSequence[0].CodeMeaning == "Interpretation"


def test_the_refusal_names_what_is_missing_and_the_scp_fills_in_the_time_of_cancellation(scp: Scp) -> None:
    association = scp()
    uid = reach(association, "IN PROGRESS")
    answer, _ = association.send_n_action(_change("CANCELED"), 1, PUSH, uid, meta_uid=PULL)
    assert answer.Status == 0xC304
    assert answer.ErrorComment.startswith("ProcedureStepDiscontinuationReasonCodeSequence: ")
    set_values(association, uid, discontinued(), LOCK)
    assert act(association, uid, "CANCELED", LOCK) == 0x0000
    assert get(association, uid).ProcedureStepProgressInformationSequence[0].ProcedureStepCancellationDateTime


def _change(state: str, transaction: str = LOCK) -> Dataset:
    change = Dataset()
    change.ProcedureStepState, change.TransactionUID = state, transaction
    return change


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("ProcedureStepState", "IN PROGRESS", 0xC309),
        ("ProcedureStepState", None, 0x0120),
        ("ProcedureStepLabel", None, 0x0120),
        ("ProcedureStepLabel", "", 0x0121),
        ("TransactionUID", LOCK, 0x0106),
        ("ScheduledProcedureStepPriority", "STAT", 0x0106),
        ("AdmissionID", None, 0xB300),
        ("StudyInstanceUID", None, 0x0000),
    ],
)
def test_what_a_creation_must_say(scp: Scp, keyword: str, value: str | None, status: int) -> None:
    association, item = scp(), pushed()
    if value is None:
        delattr(item, keyword)
    else:
        setattr(item, keyword, value)
    answer, _ = association.send_n_create(item, PUSH, generate_uid())
    assert answer.Status == status
    if status in (0x0120, 0x0121):
        assert keyword in answer.ErrorComment
    assert len(find(association, PatientID="")[0]) == (status in (0x0000, 0xB300))


@pytest.mark.parametrize(
    ("sop_class", "uid", "status"), [(PUSH, None, 0x0117), (PUSH, "1.02.3", 0x0117), (PULL, "1.2.3", 0x0118)]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_creation_needs_the_push_class_and_a_uid(scp: Scp, sop_class: str, uid: str | None, status: int) -> None:
    answer, _ = scp().send_n_create(pushed(), sop_class, uid, meta_uid=PUSH)
    assert answer.Status == status


def test_private_attributes_are_not_kept_and_the_peer_is_told(scp: Scp) -> None:
    association, item, uid = scp(), pushed(), generate_uid()
    item.add_new(0x00090010, "LO", "SOMEONE")
    item.add_new(0x00091001, "LO", "private")
    assert association.send_n_create(item, PUSH, uid)[0].Status == 0xB300
    change = Dataset()
    change.add_new(0x00090010, "LO", "SOMEONE")
    change.ProcedureStepLabel = "Other"
    assert set_values(association, uid, change) == 0x0001
    assert get(association, uid, "ProcedureStepLabel").ProcedureStepLabel == "Other"
    assert 0x00091001 not in get(association, uid)


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "SOPInstanceUID", "ProcedureStepState"])
def test_what_may_never_be_set(scp: Scp, keyword: str) -> None:
    association = scp()
    uid = create(association)
    change = Dataset()
    setattr(change, keyword, "1.2.3" if keyword.endswith("UID") else "COMPLETED")
    answer, _ = association.send_n_set(change, PUSH, uid, meta_uid=PULL)
    assert answer.Status == 0x0106
    assert answer.ErrorComment.startswith(f"{keyword}: ")


def test_a_person_sets_the_priority_and_triage_does_not_lower_it(scp: Scp, served: Ledger, header: Dataset) -> None:
    with served.write() as connection:
        uid = ensure_item(connection, header, NOW, STATION)
    association, change = scp(), Dataset()
    change.ScheduledProcedureStepPriority = "HIGH"
    assert set_values(association, uid, change) == 0x0000
    with served.write() as connection:
        raise_priority(connection, STUDY, RequestedPriority(Priority.LOW, "nothing"), NOW)
        item = rows.load(connection, uid)
    assert item is not None
    assert (item.priority, item.source) == (Priority.HIGH, Source.HUMAN)
    assert get(association, uid).ScheduledProcedureStepPriority == "HIGH"


@pytest.mark.parametrize(
    ("action", "sop_class"),
    [(1, PUSH), (2, PULL), (6, WATCH), (0, PUSH), (1, WATCH), (3, PUSH), (4, PULL), (5, PULL)],
)
def test_actions_that_the_class_does_not_have(scp: Scp, action: int, sop_class: str) -> None:
    association = scp()
    answer, _ = association.send_n_action(_change("IN PROGRESS"), action, PUSH, create(association), meta_uid=sop_class)
    assert answer.Status == 0x0123


def test_operations_that_the_class_does_not_have(scp: Scp) -> None:
    association = scp()
    uid = create(association)
    answers = [
        association.send_n_create(pushed(), PUSH, generate_uid(), meta_uid=PULL),
        association.send_n_set(performed(), PUSH, uid, meta_uid=PUSH),
        association.send_n_create(pushed(), PUSH, generate_uid(), meta_uid=WATCH),
        association.send_n_set(performed(), PUSH, uid, meta_uid=WATCH),
        association.send_n_get([tag("PatientID")], PUSH, uid, meta_uid=QUERY),
        association.send_n_action(_change("IN PROGRESS"), 1, PUSH, uid, meta_uid=QUERY),
    ]
    assert [status.Status for status, _ in answers] == [0x0211] * 6
    assert find(association, PUSH, PatientID="") == ([], 0x0122)


@pytest.mark.parametrize(
    ("state", "transaction", "status"),
    [("STARTED", LOCK, 0x0115), ("", LOCK, 0x0115), ("IN PROGRESS", "", 0xC301), ("IN PROGRESS", "1.02", 0xC301)],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_change_of_state_that_makes_no_sense(scp: Scp, state: str, transaction: str, status: int) -> None:
    association = scp()
    assert act(association, create(association), state, transaction) == status


def test_two_claim_at_once_and_one_wins(scp: Scp) -> None:
    first = scp()
    associations = [first, scp(), scp(), scp()]
    for _ in range(5):
        uid, statuses = create(first), Said()
        start = threading.Barrier(len(associations))

        def claim(
            number: int, uid: str = uid, start: threading.Barrier = start, said: dict[int, int] = statuses
        ) -> None:
            start.wait()
            said[number] = act(associations[number], uid, "IN PROGRESS", f"{LOCK}.{number + 1}")

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(len(associations))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses.values()) == [0x0000, 0xC301, 0xC301, 0xC301]
        (winner,) = (number for number, status in statuses.items() if status == 0x0000)
        assert set_values(associations[winner], uid, performed(), f"{LOCK}.{winner + 1}") == 0x0000


def test_triage_and_a_claim_at_once(scp: Scp, served: Ledger, header: Dataset) -> None:
    """Whichever comes first, the claimed item keeps the state and the lock of its reader."""
    association = scp()
    for number in range(10):
        study = f"1.5.{number + 1}"
        header.StudyInstanceUID = study
        with served.write() as connection:
            uid = ensure_item(connection, header, NOW, STATION)

        def raise_it(study: str = study) -> None:
            with served.write() as connection:
                raise_priority(connection, study, RequestedPriority(Priority.HIGH, "Pneumothorax"), NOW)

        thread = threading.Thread(target=raise_it)
        thread.start()
        assert act(association, uid, "IN PROGRESS", LOCK) == 0x0000
        thread.join()
        assert get(association, uid).ProcedureStepState == "IN PROGRESS"
        assert set_values(association, uid, performed(), LOCK) == 0x0000


def test_the_list_outlives_the_server(scp: Scp, start: Start, associate: Associate, served: Ledger) -> None:
    uid = reach(scp(), "IN PROGRESS")
    association = associate(start(served))
    assert set_values(association, uid, performed(), LOCK) == 0x0000
    assert act(association, uid, "COMPLETED", LOCK) == 0x0000


def test_a_ledger_that_is_gone_is_a_resource_limitation(start: Start, associate: Associate, tmp_path: Path) -> None:
    gone = Ledger(f"sqlite:///{tmp_path}/no/such/folder/ledger.sqlite")
    association = associate(start(gone))
    answer, _ = association.send_n_create(pushed(), PUSH, generate_uid())
    assert answer.Status == 0x0213
    assert find(association, PatientID="") == ([], 0xA700)


def test_logs_name_uids_and_statuses_but_no_patient(scp: Scp) -> None:
    with capture_logs() as lines:
        association = scp()
        uid = create(association)
        find(association, PatientName="Doe*", PatientID="HUSH-0815")
        get(association, uid)
        bad = pushed()
        bad.ScheduledProcedureStepPriority = "STAT"
        association.send_n_create(bad, PUSH, generate_uid())
        act(association, uid, "COMPLETED", None)
    assert [line["status"] for line in lines] == ["0x0000", "0x0000", "0x0000", "0x0106", "0xC301"]
    assert lines[0]["sop_instance_uid"] == uid
    assert lines[3]["attribute"] == "ScheduledProcedureStepPriority"
    assert all(line["calling_ae_title"] == "READER" for line in lines)
    said = str(lines)
    assert not any(secret in said for secret in ("Doe", "HUSH-0815", "STAT", "Second reading"))


def test_what_is_offered():
    assert [context.abstract_syntax for context in contexts()] == list(SOP_CLASSES)
    assert set(OPERATIONS) == set(SOP_CLASSES)
