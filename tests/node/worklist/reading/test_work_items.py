from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import Connection, insert, select

from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, INSTANCE, JOB, RESULT, WORK_ITEM
from node.ledger.tables import STUDY as STUDIES
from node.worklist.items import rows
from node.worklist.items.json_model import from_dataset, text
from node.worklist.items.json_model import items as items_in
from node.worklist.items.priority import Priority, RequestedPriority, Source
from node.worklist.items.states import State
from node.worklist.reading.data_set import Station, reading_uid
from node.worklist.reading.work_items import (
    as_json,
    as_line,
    ensure_item,
    listing,
    raise_priority,
    set_ready,
    set_reason,
    with_input,
)
from node.worklist.ups import operations
from tests.node.worklist.scu import NOW, STATION, STUDY, pushed

HIGH = RequestedPriority(Priority.HIGH, "Pneumothorax (probability 93 %)")
NOTHING = RequestedPriority(Priority.LOW, "no finding reaches its threshold")


@pytest.fixture
def connection(ledger: Ledger):
    with ledger.write() as connection:
        yield connection


def item(connection: Connection) -> rows.Item:
    found = rows.load(connection, reading_uid(STUDY))
    assert found is not None
    return found


def comments(connection: Connection) -> str:
    return text(item(connection).attributes, "CommentsOnTheScheduledProcedureStep")


def story(connection: Connection) -> list[str]:
    return list(connection.execute(select(EVENT.c.detail).order_by(EVENT.c.id)).scalars())


def test_one_item_a_study(connection, header):
    first = ensure_item(connection, header, NOW, STATION)
    before = item(connection)
    assert ensure_item(connection, header, NOW + 5, STATION) == first == reading_uid(STUDY)
    assert item(connection) == before
    assert (before.state, before.priority, before.source) == (State.SCHEDULED, Priority.MEDIUM, Source.DEFAULT)
    assert len(listing(connection)) == 1


def test_columns_and_data_set_say_the_same(connection, header):
    ensure_item(connection, header, NOW)
    raise_priority(connection, STUDY, HIGH, NOW + 1)
    row = connection.execute(select(WORK_ITEM)).mappings().one()
    attributes = row["attributes"]
    assert text(attributes, "ScheduledProcedureStepPriority") == row["priority"] == "HIGH"
    assert text(attributes, "ProcedureStepState") == row["state"]
    assert text(attributes, "SOPInstanceUID") == row["sop_instance_uid"]
    assert text(attributes, "SOPClassUID") == "1.2.840.10008.5.1.4.34.6.1"
    assert "00081195" not in attributes
    assert list(attributes) == sorted(attributes)


def test_triage_raises_says_why_and_may_speak_twice(connection, header):
    ensure_item(connection, header, NOW)
    (decision,) = raise_priority(connection, STUDY, HIGH, NOW + 1)
    assert decision.changed
    assert comments(connection) == "ReadFirst: HIGH: Pneumothorax (probability 93 %)"
    after, told = item(connection), story(connection)
    raise_priority(connection, STUDY, HIGH, NOW + 2)
    assert item(connection) == after
    assert story(connection) == told
    raise_priority(connection, STUDY, NOTHING, NOW + 3)
    assert item(connection).priority is Priority.HIGH


@pytest.mark.parametrize("sentence", ["not analysed, because this is a lateral view", "failed: the model is gone"])
def test_fail_open(connection, header, sentence):
    ensure_item(connection, header, NOW)
    set_reason(connection, STUDY, sentence, NOW + 1)
    assert item(connection).priority is Priority.MEDIUM
    assert item(connection).source is Source.DEFAULT
    assert comments(connection) == f"ReadFirst: {sentence}"
    assert listing(connection)[0].reason == sentence
    assert sentence in story(connection)


def test_a_study_without_an_item_is_no_error(connection):
    assert raise_priority(connection, STUDY, HIGH, NOW) == ()


def test_a_person_lowered_it_and_the_repeated_analysis_respects_that(connection, header):
    ensure_item(connection, header, NOW)
    raise_priority(connection, STUDY, HIGH, NOW + 1)
    rows.save(connection, replace(item(connection), priority=Priority.LOW, source=Source.HUMAN), NOW + 2)
    raise_priority(connection, STUDY, HIGH, NOW + 3)
    assert (item(connection).priority, item(connection).source) == (Priority.LOW, Source.HUMAN)


@pytest.mark.parametrize("state", [State.IN_PROGRESS, State.COMPLETED, State.CANCELED])
def test_a_claimed_item_is_its_readers(connection, header, state):
    ensure_item(connection, header, NOW)
    rows.save(connection, replace(item(connection), state=state, transaction_uid="1.2"), NOW + 1)
    before = item(connection)
    assert raise_priority(connection, STUDY, HIGH, NOW + 2) == ()
    set_ready(connection, STUDY, NOW + 3, ready=False)
    assert item(connection) == before
    assert story(connection)[-1].startswith(f"MEDIUM left as it is, the work item is {state}: Pneumothorax")


def test_readiness(connection, header):
    ensure_item(connection, header, NOW)
    set_ready(connection, STUDY, NOW + 1, ready=False)
    assert not listing(connection)[0].ready
    set_ready(connection, STUDY, NOW + 2)
    assert listing(connection)[0].ready


def push(connection: Connection, uid: str, **options: str) -> None:
    operations.create(connection, uid, from_dataset(pushed(**options))[0], STATION, NOW)


def test_the_hospitals_own_reading_item_is_not_doubled_and_is_raised_too(connection, header):
    push(connection, "1.2.3", priority="LOW")
    assert ensure_item(connection, header, NOW, STATION) == "1.2.3"
    raise_priority(connection, STUDY, HIGH, NOW + 1)
    (row,) = listing(connection)
    assert (row.sop_instance_uid, row.priority, row.source) == ("1.2.3", "HIGH", "triage")


def test_a_persons_high_stays(connection, header):
    push(connection, "1.2.3", priority="HIGH")
    raise_priority(connection, STUDY, NOTHING, NOW + 1)
    (row,) = listing(connection)
    assert (row.priority, row.source) == ("HIGH", "human")


def test_other_work_on_the_study_is_left_alone(connection, header):
    dataset = pushed()
    dataset.ScheduledWorkitemCodeSequence = []
    operations.create(connection, "1.2.4", from_dataset(dataset)[0], STATION, NOW)
    assert ensure_item(connection, header, NOW, STATION) == reading_uid(STUDY)
    raise_priority(connection, STUDY, HIGH, NOW + 1)
    assert [(row.sop_instance_uid, row.priority) for row in listing(connection)] == [
        (reading_uid(STUDY), "HIGH"),
        ("1.2.4", "LOW"),
    ]


def test_most_urgent_first_then_oldest(connection, header):
    for number, study in enumerate(("1.1", "1.2", "1.3", "1.4")):
        header.StudyInstanceUID = study
        ensure_item(connection, header, NOW + number)
    raise_priority(connection, "1.3", HIGH, NOW + 9)
    raise_priority(connection, "1.4", HIGH, NOW + 8)
    push(connection, "9.9", priority="LOW", study="1.5")
    done = rows.load(connection, reading_uid("1.2"))
    assert done is not None
    rows.save(connection, replace(done, state=State.COMPLETED), NOW + 10)
    assert [row.study_instance_uid for row in listing(connection)] == ["1.3", "1.4", "1.1", "1.5"]
    assert [row.study_instance_uid for row in listing(connection, limit=2)] == ["1.3", "1.4"]
    assert len(listing(connection, final=True)) == 5


def test_what_the_screen_shows(connection, header):
    ensure_item(connection, header, NOW)
    (row,) = listing(connection)
    assert as_line(row) == (
        "MEDIUM", "SCHEDULED", "Müller^Änne (4711)", STUDY, "2026-09-21 14:13:20", "before analysis",
    )  # fmt: skip
    shown = json.loads(json.dumps(as_json(row)))
    assert shown["accession_number"] == "ACC1"
    assert shown["created_at"] == "2026-09-21T14:13:20+00:00"


def test_the_story_names_no_patient(connection, header):
    ensure_item(connection, header, NOW)
    raise_priority(connection, STUDY, HIGH, NOW)
    set_reason(connection, STUDY, "failed", NOW)
    assert not any("ller" in line or "4711" in line for line in story(connection))


def add_study(connection: Connection) -> None:
    connection.execute(
        insert(STUDIES).values(
            study_instance_uid=STUDY, generation=2, state="analysed", reason="", evidence="", calling_ae_title="CR1",
            first_received_at=NOW, last_received_at=NOW,
        )
    )  # fmt: skip
    for number, (series, conflict) in enumerate([("1.1", False), ("1.1", False), ("1.2", False), ("1.2", True)]):
        connection.execute(
            insert(INSTANCE).values(
                sop_instance_uid=f"7.{number}", sop_class_uid="1.2.840.10008.5.1.4.1.1.1", series_instance_uid=series,
                study_instance_uid=STUDY, transfer_syntax_uid="1.2.840.10008.1.2.1", path=f"{number}", size=1,
                sha256=f"{number}", calling_ae_title="CR1", received_at=NOW, generation=1, conflict=conflict,
            )
        )  # fmt: skip


def add_result(connection: Connection, uid: str, generation: int, delivered_at: float | None) -> None:
    connection.execute(
        insert(RESULT).values(
            sop_instance_uid=uid, sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4", series_instance_uid=f"{uid}.1",
            study_instance_uid=STUDY, generation=generation, package="chest-xray", kind="segmentation", path=uid,
            created_at=NOW,
        )
    )  # fmt: skip
    connection.execute(
        insert(JOB).values(
            kind="delivery", key=uid, study_instance_uid=STUDY, lane="pacs", state="delivered", attempts=1,
            due_at=NOW, last_error="", created_at=NOW, done_at=delivered_at, payload={},
        )
    )  # fmt: skip


def input_uids(connection: Connection, station: Station) -> tuple[list[str], set[str]]:
    whole = with_input(connection, STUDY, item(connection).attributes, station)
    series = items_in(whole, "InputInformationSequence")
    instances = [instance for one in series for instance in items_in(one, "ReferencedSOPSequence")]
    where = {text(place, "RetrieveAETitle") for one in series for place in items_in(one, "DICOMRetrievalSequence")}
    return [text(instance, "ReferencedSOPInstanceUID") for instance in instances], where


def test_the_input_is_what_is_there_now(connection, header):
    add_study(connection)
    ensure_item(connection, header, NOW, STATION)
    assert input_uids(connection, STATION) == (["7.0", "7.1", "7.2"], {"PACS"})
    assert input_uids(connection, Station()) == (["7.0", "7.1", "7.2"], {"CR1"})
    add_result(connection, "8.1", 1, NOW)
    add_result(connection, "8.2", 2, None)
    assert input_uids(connection, STATION)[0] == ["7.0", "7.1", "7.2", "8.1"]
    add_result(connection, "8.3", 2, NOW)
    assert input_uids(connection, STATION)[0] == ["7.0", "7.1", "7.2", "8.3"]
