from __future__ import annotations

from dataclasses import replace

import pytest

from node.worklist.items.changes import EventType, cancel_requested, changes, restarted
from node.worklist.items.json_model import Json, code, put, text
from node.worklist.items.priority import Priority, Source
from node.worklist.items.rows import Item, with_attributes
from node.worklist.items.states import State

ATTRIBUTES: Json = {}
put(ATTRIBUTES, "InputReadinessState", "READY")
ITEM = Item("1.2.3", "1.2", State.SCHEDULED, Priority.LOW, Source.DEFAULT, "", None, "", ATTRIBUTES, 0.0)
STATION = code("RS1", "99X", "Reading room 1")


def performer() -> Json:
    item: Json = {}
    put(item, "HumanPerformerCodeSequence", code("DOC", "99X", "Dr. Reader"))
    put(item, "HumanPerformerOrganization", "Radiology")
    return item


def progress(keyword: str, value: object) -> Json:
    item: Json = {}
    put(item, keyword, value)
    return item


def types(before: Item | None, after: Item) -> list[int]:
    return [event.type.value for event in changes(before, after)]


def test_a_new_item_is_reported_and_its_assignment_too() -> None:
    assert types(None, ITEM) == [1]
    assigned = with_attributes(ITEM, ScheduledHumanPerformersSequence=[performer()])
    state, assignment = changes(None, assigned)
    assert text(state.information, "ProcedureStepState") == "SCHEDULED"
    assert text(state.information, "InputReadinessState") == "READY"
    assert assignment.type is EventType.ASSIGNED
    assert text(assignment.information, "HumanPerformerOrganization") == "Radiology"
    assert "00404009" in assignment.information
    assert "00404025" not in assignment.information


@pytest.mark.parametrize(
    ("after", "event"),
    [
        (replace(ITEM, state=State.IN_PROGRESS), 1),
        (with_attributes(ITEM, InputReadinessState=["INCOMPLETE"]), 1),
        (with_attributes(ITEM, ScheduledStationNameCodeSequence=[STATION]), 5),
        (with_attributes(ITEM, ScheduledHumanPerformersSequence=[performer()]), 5),
        (replace(ITEM, priority=Priority.HIGH), 3),
        (with_attributes(ITEM, ProcedureStepProgressInformationSequence=[progress("ProcedureStepProgress", "50")]), 3),
        (
            with_attributes(
                ITEM,
                ProcedureStepProgressInformationSequence=[
                    progress("ProcedureStepCommunicationsURISequence", progress("ContactURI", "tel:1"))
                ],
            ),
            3,
        ),
    ],
)
def test_each_change_is_one_event(after: Item, event: int) -> None:
    assert types(ITEM, after) == [event]


@pytest.mark.parametrize(
    "after",
    [
        ITEM,
        with_attributes(ITEM, ProcedureStepLabel=["Other"]),
        with_attributes(ITEM, CommentsOnTheScheduledProcedureStep=["Other"]),
        with_attributes(
            ITEM, ProcedureStepProgressInformationSequence=[progress("ReasonForCancellation", "ordered twice")]
        ),
    ],
)
def test_other_changes_are_none(after: Item) -> None:
    assert types(ITEM, after) == []


def test_a_priority_is_told_with_its_reason() -> None:
    why = with_attributes(
        replace(ITEM, priority=Priority.HIGH),
        ProcedureStepProgressInformationSequence=[progress("ProcedureStepProgressDescription", "HIGH: Pneumothorax")],
    )
    (event,) = changes(ITEM, why)
    assert event.type is EventType.PROGRESS_REPORT
    assert text(event.information, "ScheduledProcedureStepPriority") == "HIGH"
    assert text(event.information["00741002"]["Value"][0], "ProcedureStepProgressDescription") == "HIGH: Pneumothorax"


def test_a_cancel_request_says_what_was_given_and_who_asked() -> None:
    given: Json = {}
    put(given, "ReasonForCancellation", "ordered twice")
    put(given, "ContactURI", "tel:1")
    put(given, "PatientID", "0815")
    event = cancel_requested(given, "ORDERS")
    assert event.type is EventType.CANCEL_REQUESTED
    assert sorted(event.information) == ["0074100A", "00741236", "00741238"]
    assert text(event.information, "RequestingAE") == "ORDERS"


def test_a_restart_says_what_is_kept() -> None:
    information = restarted(subscriptions_kept=False, items_kept=True).information
    assert text(information, "SCPStatus") == "RESTARTED"
    assert text(information, "SubscriptionListStatus") == "COLD START"
    assert text(information, "UnifiedProcedureStepListStatus") == "WARM START"
