"""Watch and Event on the wire: pynetdicom subscribes and is told."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pydicom import Dataset
from pynetdicom import Association
from sqlalchemy import delete, select

from node.ledger.engine import Ledger
from node.ledger.tables import GLOBAL_SUBSCRIPTION, JOB, SUBSCRIPTION
from node.worklist.events import event_reports
from node.worklist.events.event_reports import Subscriber
from node.worklist.items.json_model import put
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading.work_items import ensure_item, raise_priority
from node.worklist.ups import event_sender as notifier_module
from node.worklist.ups.event_sender import EventSender
from node.worklist.ups.watch import Watching
from node.worklist.ups.watch import act as watch_act
from tests.node.worklist.conftest import Monitor
from tests.node.worklist.scu import (
    LOCK,
    NOW,
    PUSH,
    STATION,
    STUDY,
    WATCH,
    act,
    create,
    discontinued,
    find,
    get,
    reach,
    set_values,
    watch,
)
from tests.waiting import at_most

Scp = Callable[[], Association]
READER, MONITOR = Subscriber("READER"), Subscriber("MONITOR")
ALL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
SUBSCRIBE, UNSUBSCRIBE, SUSPEND = 3, 4, 5
STATES = {"N": None, "L": True, "U": False}


def subscribed(ledger: Ledger, uid: str) -> bool | None:
    """With lock, without, or not at all."""
    with ledger.read() as connection:
        query = select(SUBSCRIPTION.c.locked).where(SUBSCRIPTION.c.sop_instance_uid == uid)
        return connection.execute(query).scalar()


def global_state(ledger: Ledger) -> bool | None:
    with ledger.read() as connection:
        return connection.execute(select(GLOBAL_SUBSCRIPTION.c.locked)).scalar()


def queued(ledger: Ledger) -> list[tuple[str, int]]:
    with ledger.read() as connection:
        query = select(JOB.c.reference, JOB.c.payload["event_type"].as_integer()).order_by(JOB.c.id)
        return [(uid, event_type) for uid, event_type in connection.execute(query)]


def forget(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(delete(JOB))


def prepare(association: Association, ledger: Ledger, state: str) -> str:
    uid = create(association)
    if state != "N":
        assert watch(association, SUBSCRIBE, uid, lock="TRUE" if state == "L" else "FALSE") == 0x0000
    forget(ledger)
    return uid


# PS3.4 Table CC.2.3-2: action, instance, lock; then for Not Subscribed, with Lock, w/o Lock the new state and whether
# an event is sent; then the Global Subscription State.
ROWS = [
    (SUBSCRIBE, ALL, "TRUE", "L+ L+ U+", True),  # + beyond the first column: CC.2.4.3
    (SUBSCRIBE, ALL, "FALSE", "U L U", False),
    (SUBSCRIBE, "", "TRUE", "L+ L+ L+", None),
    (SUBSCRIBE, "", "FALSE", "U+ U+ U+", None),
    (UNSUBSCRIBE, "", "", "N N N", None),
    (UNSUBSCRIBE, ALL, "", "N N N", None),
    (SUSPEND, ALL, "", "N L U", None),
]


@pytest.mark.parametrize("column", range(3), ids=["not subscribed", "with lock", "without lock"])
@pytest.mark.parametrize(("action", "instance", "lock", "cells", "globally"), ROWS)
def test_each_cell_of_the_subscription_table(
    scp: Scp, served: Ledger, column: int, action: int, instance: str, lock: str, cells: str, globally: bool | None
) -> None:
    association = scp()
    uid = prepare(association, served, "NLU"[column])
    assert watch(association, action, instance or uid, lock=lock) == 0x0000
    cell = cells.split()[column]
    assert subscribed(served, uid) is STATES[cell[0]]
    assert queued(served) == ([(uid, 1)] if cell.endswith("+") else [])
    assert global_state(served) is globally


@pytest.mark.parametrize(("lock", "state"), [("", None), ("TRUE", True), ("FALSE", False)])
def test_a_new_item_is_watched_as_the_global_state_says(
    scp: Scp, served: Ledger, lock: str, state: bool | None
) -> None:
    association = scp()
    if lock:
        assert watch(association, SUBSCRIBE, ALL, lock=lock) == 0x0000
    uid = create(association)
    assert subscribed(served, uid) is state
    assert queued(served) == ([] if state is None else [(uid, 1)])


@pytest.mark.parametrize("action", [UNSUBSCRIBE, SUSPEND])
def test_after_the_end_of_a_global_subscription_new_items_are_not_watched(
    scp: Scp, served: Ledger, action: int
) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    first = create(association)
    assert watch(association, action, ALL) == 0x0000
    second = create(association)
    assert subscribed(served, first) is (None if action == UNSUBSCRIBE else False)
    assert subscribed(served, second) is None
    assert queued(served) == ([] if action == UNSUBSCRIBE else [(first, 1)])


def test_a_filter_watches_what_a_query_would_find_now_and_later(scp: Scp, served: Ledger) -> None:
    association = scp()
    uids = {priority: create(association, priority=priority) for priority in ("HIGH", "LOW")}
    keys = {"ScheduledProcedureStepPriority": "HIGH", "WorklistLabel": "CH*"}
    assert watch(association, SUBSCRIBE, FILTERED, lock="TRUE", **keys) == 0x0000
    assert (subscribed(served, uids["HIGH"]), subscribed(served, uids["LOW"])) == (True, None)
    later = {priority: create(association, priority=priority) for priority in ("HIGH", "LOW")}
    assert (subscribed(served, later["HIGH"]), subscribed(served, later["LOW"])) == (True, None)
    assert queued(served) == [(uids["HIGH"], 1), (later["HIGH"], 1)]
    assert watch(association, SUBSCRIBE, uids["LOW"]) == 0x0000
    assert watch(association, UNSUBSCRIBE, FILTERED) == 0x0000
    assert subscribed(served, uids["HIGH"]) is subscribed(served, later["HIGH"]) is None
    assert subscribed(served, uids["LOW"]) is False  # asked for by itself
    assert subscribed(served, create(association, priority="HIGH")) is None


def test_a_filter_beside_a_global_subscription(scp: Scp, served: Ledger) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    watch(association, SUBSCRIBE, FILTERED, lock="TRUE", ScheduledProcedureStepPriority="HIGH")
    uid = create(association, priority="HIGH")
    assert subscribed(served, uid) is True
    assert queued(served) == [(uid, 1)]
    watch(association, UNSUBSCRIBE, FILTERED)
    assert subscribed(served, uid) is True


@pytest.mark.parametrize(
    ("action", "uid", "receiver", "lock", "status"),
    [
        (SUBSCRIBE, "1.2.3", "READER", "FALSE", 0xC307),
        (UNSUBSCRIBE, "1.2.3", "READER", "", 0xC307),
        (SUBSCRIBE, ALL, "STRANGER", "FALSE", 0xC308),
        (SUBSCRIBE, "", "STRANGER", "FALSE", 0xC308),
        (SUSPEND, "", "READER", "", 0xC314),
        (SUBSCRIBE, ALL, "", "FALSE", 0x0115),
        (SUBSCRIBE, ALL, "READER", "", 0x0115),
        (SUBSCRIBE, ALL, "READER", "MAYBE", 0x0115),
        (SUBSCRIBE, FILTERED, "READER", "FALSE", 0x0115),  # no matching key
        (UNSUBSCRIBE, "", "READER", "", 0x0000),  # never subscribed: no change
        (SUBSCRIBE, ALL, "MONITOR", "FALSE", 0x0000),  # on behalf of another
    ],
)
def test_statuses(scp: Scp, served: Ledger, action: int, uid: str, receiver: str, lock: str, status: int) -> None:
    association = scp()
    item = create(association)
    assert watch(association, action, uid or item, receiver, lock) == status
    if status:
        assert (subscribed(served, item), global_state(served)) == (None, None)


def test_a_lock_that_is_not_granted(served: Ledger) -> None:
    given: dict[str, object] = {}
    put(given, "ReceivingAE", "READER")
    put(given, "DeletionLock", "TRUE")
    with served.write() as connection:
        rules = Watching(lambda _: True, locks=False)
        assert watch_act(connection, SUBSCRIBE, ALL, given, rules, NOW) == 0xB301
    assert global_state(served) is False


def test_the_whole_life_of_a_reading_is_told_in_order(scp: Scp, notifier: EventSender, monitor: Monitor) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    uid = reach(association, "IN PROGRESS")
    assigned = Dataset()
    station = Dataset()
    station.CodeValue, station.CodingSchemeDesignator, station.CodeMeaning = "RS1", "99X", "Reading room 1"
    assigned.ScheduledStationNameCodeSequence = [station]
    set_values(association, uid, assigned, LOCK)
    half = Dataset()
    part = Dataset()
    part.ProcedureStepProgress = "50"
    half.ProcedureStepProgressInformationSequence = [part]
    set_values(association, uid, half, LOCK)
    set_values(association, uid, discontinued(), LOCK)
    act(association, uid, "CANCELED", LOCK)
    notifier.serve(READER)
    assert [(event, told) for event, told, _ in monitor.told] == [(kind, uid) for kind in (1, 1, 5, 3, 3, 1)]
    states = [what.get("ProcedureStepState") for _, _, what in monitor.told]
    assert states == ["SCHEDULED", "IN PROGRESS", None, None, None, "CANCELED"]
    assert monitor.told[2][2].ScheduledStationNameCodeSequence[0].CodeMeaning == "Reading room 1"
    assert monitor.told[3][2].ProcedureStepProgressInformationSequence[0].ProcedureStepProgress == 50
    assert monitor.told[5][2].ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110510"
    assert monitor.told[0][2].InputReadinessState == "READY"
    assert set(monitor.calling) == {"READFIRST"}


def test_a_cancel_request_reaches_those_who_watch(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor
) -> None:
    association = scp()
    uid = reach(association, "IN PROGRESS")
    reason = Dataset()
    reason.ReasonForCancellation, reason.ContactURI = "ordered twice", "tel:1"
    assert association.send_n_action(reason, 2, PUSH, uid, meta_uid=WATCH)[0].Status == 0xC312
    watch(association, SUBSCRIBE, uid)
    forget(served)
    assert association.send_n_action(reason, 2, PUSH, uid, meta_uid=WATCH)[0].Status == 0x0000
    assert get(association, uid).ProcedureStepState == "IN PROGRESS"
    notifier.serve(READER)
    ((event, told, what),) = monitor.told
    assert (event, told, what.RequestingAE) == (2, uid, "READER")
    assert (what.ReasonForCancellation, what.ContactURI) == ("ordered twice", "tel:1")


def test_canceling_what_nobody_claimed_is_told_step_by_step(scp: Scp, notifier: EventSender, monitor: Monitor) -> None:
    association = scp()
    uid = create(association)
    watch(association, SUBSCRIBE, uid)
    assert association.send_n_action(None, 2, PUSH, uid, meta_uid=PUSH)[0].Status == 0x0000
    notifier.serve(READER)
    said = [(event, what.get("ProcedureStepState")) for event, _, what in monitor.told]
    assert said == [(1, "SCHEDULED"), (2, None), (1, "IN PROGRESS"), (1, "CANCELED")]


def test_a_subscriber_hears_of_a_raised_priority_within_a_second(
    scp: Scp, served: Ledger, header: Dataset, notifier: EventSender, monitor: Monitor, run_thread: Callable[..., None]
) -> None:
    with served.write() as connection:
        uid = ensure_item(connection, header, NOW, STATION)
    watch(scp(), SUBSCRIBE, ALL)
    run_thread(notifier.run, notifier.stop)
    monitor.wait_for(1)  # SCP Status Change
    started = time.monotonic()
    with served.write() as connection:
        raise_priority(connection, STUDY, RequestedPriority(Priority.HIGH, "Pneumothorax (probability 91 %)"), NOW)
    event, told, what = monitor.wait_for(2)[1]
    assert time.monotonic() - started < at_most(1.0)
    assert (event, told, what.ScheduledProcedureStepPriority) == (3, uid, "HIGH")
    progress = what.ProcedureStepProgressInformationSequence[0]
    assert progress.ProcedureStepProgressDescription == "HIGH: Pneumothorax (probability 91 %)"
    assert "PatientName" not in what


@pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_one_that_cannot_be_reached_holds_nobody_up_and_is_tried_again(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor
) -> None:
    association = scp()
    for receiver in ("MONITOR", "READER"):
        watch(association, SUBSCRIBE, ALL, receiver)
    uid = create(association)
    for subscriber in (MONITOR, READER):
        notifier.serve(subscriber)
    assert monitor.types == [1]
    with served.read() as connection:
        (left,) = event_reports.waiting(connection, MONITOR, 10)
        assert (left.sop_instance_uid, left.attempts) == (uid, 1)
        assert event_reports.due(connection, NOW + 1001) == ()
        assert event_reports.due(connection, NOW + 1000 + 7) == (MONITOR,)


def test_a_failure_status_is_tried_again_and_then_passed_over(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor
) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    first, second = create(association), create(association)
    monitor.answers[:] = [0x0110, 0x0213, 0x0110]
    for _ in range(3):
        notifier.serve(READER)
    assert [told for _, told, _ in monitor.told] == [first, first, first, second]
    assert queued(served) == []


def test_events_and_subscriptions_outlive_the_node(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor
) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    uid = create(association)
    again = Ledger(served.url)
    other = EventSender(notifier._settings, again, lambda: NOW + 2000)
    other.report_restart(NOW + 2000)
    other.report_restart(NOW + 2001)
    other.serve(READER)
    again.close()
    assert [(event, told) for event, told, _ in monitor.told] == [(1, uid), (4, ALL)]
    status = monitor.told[1][2]
    assert (status.SCPStatus, status.SubscriptionListStatus) == ("RESTARTED", "WARM START")
    assert status.UnifiedProcedureStepListStatus == "WARM START"


def test_old_reports_are_dropped(scp: Scp, served: Ledger, notifier: EventSender) -> None:
    association = scp()
    watch(association, SUBSCRIBE, ALL, "MONITOR")
    create(association)
    notifier.due(NOW + 25 * 3600)
    assert queued(served) == []
    assert global_state(served) is False


def test_the_watch_class_finds_and_gets_too(scp: Scp) -> None:
    association = scp()
    uid = create(association)
    assert [item.SOPInstanceUID for item in find(association, WATCH, SOPInstanceUID="")[0]] == [uid]
    assert association.send_n_get([], PUSH, uid, meta_uid=WATCH)[0].Status == 0x0000


def test_one_that_does_not_answer_is_left_and_tried_again(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier_module, "_ANSWER_SECONDS", 0.3)
    association = scp()
    watch(association, SUBSCRIBE, ALL)
    create(association)
    monitor.silent.clear()
    started = time.monotonic()
    notifier.serve(READER)
    monitor.silent.set()
    assert time.monotonic() - started < at_most(10)
    assert len(queued(served)) == 1
    notifier.serve(READER)
    assert (monitor.types, queued(served)) == ([1, 1], [])
