"""Decisions on a real ledger: what is stored, what waits, and the order of the list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import Dataset
from sqlalchemy import Connection, insert, select, update
from structlog.testing import capture_logs

from node.admin import queries
from node.admin.study_view import study_view
from node.entities import FoundFinding
from node.ledger.engine import Ledger
from node.ledger.tables import DECISION, SUBSCRIPTION, WORK_ITEM
from node.ledger.tables import STUDY as STUDIES
from node.settings import Policy
from node.worklist.events import subscriptions, writing
from node.worklist.events.event_reports import Subscriber
from node.worklist.events.subscriptions import Subscription
from node.worklist.items import rows
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.reading import work_items
from node.worklist.triage.decisions import Analysed, decide_study, release, silent_packages, stuck, waiting
from node.worklist.triage.policy import Disposition, TriageDecision
from tests.node.worklist.scu import NOW
from tests.node.worklist.triage.ordering import list_position

HIGH, MEDIUM, LOW = Priority
HOUR = 3600.0
ONE_AN_HOUR = Policy(alerts_an_hour=1)


@pytest.fixture
def connection(ledger: Ledger) -> Iterator[Connection]:
    with ledger.write() as connection:
        yield connection


def finding(urgency: str = "HIGH", package: str = "chest-xray") -> FoundFinding:
    return FoundFinding(package, "Pneumothorax", "probability", 0.9, 0.5, urgency != "", "", urgency or "HIGH")


def come(connection: Connection, uid: str, at: float = NOW, birth_date: str = "19600229") -> str:
    """A study comes, and stands in the list."""
    connection.execute(
        insert(STUDIES).values(
            study_instance_uid=uid, generation=1, state="analysing", reason="", evidence="", calling_ae_title="CR",
            first_received_at=at, last_received_at=at,
        )
    )  # fmt: skip
    header = Dataset()
    header.StudyInstanceUID, header.PatientBirthDate = uid, birth_date
    return work_items.ensure_item(connection, header, at)


def decide(
    connection: Connection, uid: str, policy: Policy, at: float = NOW, *found: FoundFinding, off: bool = False
) -> TriageDecision:
    return decide_study(connection, Analysed(uid, 1, found or (finding(),)), policy, at, off=off)


def priorities(connection: Connection) -> dict[str, str]:
    return {row.study_instance_uid: row.priority for row in work_items.listing(connection)}


def test_each_decision_is_stored_with_its_inputs_and_told(connection: Connection) -> None:
    come(connection, "1.1")
    decide(connection, "1.1", Policy(), NOW + 60, finding(), finding("MEDIUM", "chest-ct"))
    story = study_view(connection, "1.1").as_json()
    assert story is not None
    (told,) = story["decisions"]
    assert (told["asked"], told["given"], told["category"], told["outcome"]) == ("HIGH", "HIGH", 1, "sent")
    inputs = told["inputs"]
    assert [one["package"] for one in inputs["findings"]] == ["chest-xray", "chest-ct"]
    assert inputs["asked_by"] == {"chest-xray": "HIGH", "chest-ct": "MEDIUM"}
    assert (inputs["patient"], inputs["alerts"], inputs["policy"]["alerts_an_hour"]) == ("adult", 0, 12)
    assert inputs["hours"] == pytest.approx(1 / 60)
    assert "1960" not in str(told)


def test_the_budget_makes_the_rest_wait_and_the_administrator_is_told(connection: Connection) -> None:
    for number in range(3):
        come(connection, f"1.{number}", NOW + number)
    with capture_logs() as logs:
        outcomes = [decide(connection, f"1.{number}", ONE_AN_HOUR, NOW + 10).disposition for number in range(3)]
    assert outcomes == [Disposition.SENT, Disposition.WAITS, Disposition.WAITS]
    assert priorities(connection) == {"1.0": "HIGH", "1.1": "MEDIUM", "1.2": "MEDIUM"}
    assert [log["study"] for log in logs if log["log_level"] == "warning"] == ["1.1", "1.2"]
    assert queries.triage(connection, ONE_AN_HOUR)["alerts_waiting"] == 2
    assert release(connection, ONE_AN_HOUR, NOW + HOUR) == ()
    assert release(connection, ONE_AN_HOUR, NOW + HOUR + 11) == ("1.1",)
    assert priorities(connection) == {"1.0": "HIGH", "1.1": "HIGH", "1.2": "MEDIUM"}
    assert release(connection, ONE_AN_HOUR, NOW + 2 * HOUR + 12) == ("1.2",)
    assert waiting(connection) == 0
    reasons = {row.study_instance_uid: row.reason for row in work_items.listing(connection)}
    assert reasons["1.2"] == "HIGH: Pneumothorax (probability 90 %, threshold 50 %), ACR category 1"


def test_what_waits_too_long_is_let_go(connection: Connection) -> None:
    for uid in ("1.0", "1.1"):
        come(connection, uid)
        decide(connection, uid, ONE_AN_HOUR, NOW)
    assert release(connection, ONE_AN_HOUR, NOW + 25 * HOUR) == ()
    assert (waiting(connection), priorities(connection)["1.1"]) == (0, "MEDIUM")


def test_a_person_who_took_the_study_meanwhile_keeps_it(connection: Connection) -> None:
    come(connection, "1.0")
    uid = come(connection, "1.1")
    for study in ("1.0", "1.1"):
        decide(connection, study, ONE_AN_HOUR, NOW)
    item = rows.load(connection, uid)
    assert item is not None
    writing.save(connection, replace(item, state=State.IN_PROGRESS, transaction_uid="1.2"), NOW + 1)
    release(connection, ONE_AN_HOUR, NOW + HOUR + 1)
    after = rows.load(connection, uid)
    assert after is not None
    assert (after.priority, after.state) == (MEDIUM, State.IN_PROGRESS)


def test_a_new_analysis_closes_what_waited(connection: Connection) -> None:
    come(connection, "1.0")
    come(connection, "1.1")
    for study in ("1.0", "1.1", "1.1"):
        decide(connection, study, ONE_AN_HOUR, NOW)
    assert waiting(connection) == 1
    decide(connection, "1.1", ONE_AN_HOUR, NOW, finding("MEDIUM"))
    assert waiting(connection) == 0


def test_a_package_that_flags_everything_is_silenced_until_it_stops(connection: Connection) -> None:
    policy = Policy(alerts_an_hour=0, stuck_studies=5)
    numbers = iter(range(100))

    def study(urgency: str) -> TriageDecision:
        uid = f"1.{next(numbers)}"
        come(connection, uid)
        return decide(connection, uid, policy, NOW, finding(urgency))

    assert [study("HIGH").disposition for _ in range(5)] == [Disposition.SENT] * 5
    with capture_logs() as logs:
        decision = study("HIGH")
    assert (decision.disposition, decision.given, decision.silent) == (Disposition.SHADOW, None, {"chest-xray"})
    assert [log["package"] for log in logs if log["log_level"] == "error"] == ["chest-xray"]
    assert queries.triage(connection, policy)["stuck_packages"] == ["chest-xray"]
    with capture_logs() as logs:
        study("HIGH")
    assert not [log for log in logs if log["log_level"] == "error"]  # said once
    for _ in range(2):
        study("")
    assert stuck(connection, policy) == frozenset()
    assert study("HIGH").disposition is Disposition.SENT


def test_shadow_mode_leaves_the_item_as_it_is(connection: Connection) -> None:
    uid = come(connection, "1.1")
    decide(connection, "1.1", Policy(shadow=("*",)))
    item = rows.load(connection, uid)
    assert item is not None
    assert (item.priority, item.source, item.triage_priority) == (MEDIUM, Source.DEFAULT, None)
    assert item.reason == "shadow mode"
    assert connection.execute(select(DECISION.c.outcome)).scalar_one() == "shadow"
    assert "Pneumothorax" in connection.execute(select(DECISION.c.reason)).scalar_one()


@pytest.mark.parametrize(
    ("shadow", "off", "told"),
    [
        (("*",), False, "shadow mode"),
        (("chest-xray",), False, "MEDIUM: Nodule (probability 90 %, threshold 50 %), ACR category 2"),
        ((), True, "triage is off (worklist.sinks)"),
    ],
)
def test_the_work_item_says_nothing_of_what_is_silenced(
    connection: Connection, shadow: tuple[str, ...], off: bool, told: str
) -> None:
    uid = come(connection, "1.1")
    nodule = replace(finding("MEDIUM", "chest-ct"), label="Nodule")
    decide(connection, "1.1", Policy(shadow=shadow), NOW, finding(), nodule, off=off)
    item = rows.load(connection, uid)
    assert item is not None
    assert item.reason.removeprefix("stays ") == told  # MEDIUM it was
    comments = text(item.attributes, "CommentsOnTheScheduledProcedureStep")
    assert comments == f"ReadFirst: {item.reason}"
    assert "Pneumothorax" not in json.dumps(item.attributes)
    assert "Pneumothorax" in connection.execute(select(DECISION.c.reason)).scalar_one()
    silenced = {"chest-xray", "chest-ct"} if shadow == ("*",) else set(shadow)
    assert silent_packages(connection, "1.1") == silenced


def test_the_newest_decision_says_which_packages_are_silent(connection: Connection) -> None:
    come(connection, "1.1")
    assert silent_packages(connection, "1.1") == frozenset()
    decide(connection, "1.1", Policy(shadow=("*",)))
    decide(connection, "1.1", Policy())
    assert silent_packages(connection, "1.1") == frozenset()


def let_go(connection: Connection, policy: Policy, *, off: bool = False) -> tuple[str, str, bool, Priority]:
    """Release an hour later; the newest decision's outcome and given priority, whether it waits still, the item's."""
    assert release(connection, policy, NOW + HOUR + 1, off=off) == ()
    query = select(DECISION.c.outcome, DECISION.c.given).order_by(DECISION.c.id.desc()).limit(1)
    outcome, given = connection.execute(query).one()
    (item,) = rows.of_study(connection, "1.1")
    assert "Pneumothorax" not in json.dumps(item.attributes)
    return outcome, given, waiting(connection) > 0, item.priority


@pytest.fixture
def one_waits(connection: Connection) -> None:
    for uid in ("1.0", "1.1"):
        come(connection, uid)
        decide(connection, uid, ONE_AN_HOUR)
    assert waiting(connection) == 1


@pytest.mark.usefixtures("one_waits")
def test_what_waits_is_not_raised_once_its_package_is_in_shadow_mode(connection: Connection) -> None:
    assert let_go(connection, Policy(shadow=("chest-xray",))) == ("shadow", "", False, MEDIUM)
    assert silent_packages(connection, "1.1") == {"chest-xray"}


@pytest.mark.usefixtures("one_waits")
def test_what_waits_is_not_raised_once_its_package_is_stuck(connection: Connection) -> None:
    assert let_go(connection, Policy(alerts_an_hour=1, stuck_studies=2)) == ("shadow", "", False, MEDIUM)


@pytest.mark.usefixtures("one_waits")
def test_what_waits_is_not_raised_once_triage_is_off(connection: Connection) -> None:
    assert let_go(connection, ONE_AN_HOUR, off=True) == ("off", "", False, MEDIUM)


@pytest.mark.parametrize(("birth_date", "patient"), [("20200101", "child"), ("", "unknown")])
def test_the_patients_class_comes_from_the_work_item(connection: Connection, birth_date: str, patient: str) -> None:
    come(connection, "1.1", NOW, birth_date)
    decide(connection, "1.1", Policy())
    assert connection.execute(select(DECISION.c.inputs)).scalar_one()["patient"] == patient


def listed(connection: Connection, now: float) -> list[str]:
    return [row.study_instance_uid for row in work_items.listing(connection, policy=Policy(), now=now)]


def claim(connection: Connection, uid: str, now: float) -> None:
    item = rows.load(connection, uid)
    assert item is not None
    writing.save(connection, replace(item, state=State.IN_PROGRESS, transaction_uid="1.2"), now)


def test_a_routine_study_ages_where_the_list_is_worked_off(connection: Connection) -> None:
    come(connection, "1.0", NOW)
    claim(connection, come(connection, "1.9", NOW), NOW + 20 * HOUR)
    for number, hours in enumerate((23.0, 25.0), 1):
        come(connection, f"1.{number}", NOW + hours * HOUR)
        decide(connection, f"1.{number}", Policy(), NOW + hours * HOUR)
    now = NOW + 26 * HOUR
    assert [uid for uid in listed(connection, now) if uid != "1.9"] == ["1.1", "1.2", "1.0"]  # fresh alerts first
    claim(connection, come(connection, "1.8", now), now + 22 * HOUR)
    assert [uid for uid in listed(connection, now + 22 * HOUR) if uid < "1.3"] == ["1.2", "1.1", "1.0"]  # 1.1 is late
    come(connection, "1.3", now + 22 * HOUR)
    now += 24 * HOUR
    assert [uid for uid in listed(connection, now) if uid < "1.4"] == ["1.1", "1.0", "1.2", "1.3"]  # 1.2 is late, too
    assert listed(connection, now + 24 * HOUR)[:2] == ["1.1", "1.2"]  # nobody takes anything any more: alerts first


def test_one_claim_does_not_put_an_old_backlog_before_a_new_alert(connection: Connection) -> None:
    for number in range(5):
        come(connection, f"1.{number}", NOW)
    now = NOW + 60 * 24 * HOUR
    claim(connection, come(connection, "2.0", now), now)
    come(connection, "3.0", now)
    decide(connection, "3.0", Policy(), now)
    assert listed(connection, now + 23 * HOUR)[0] == "3.0"


def test_the_databases_order_is_that_of_the_policy(connection: Connection) -> None:
    claim(connection, come(connection, "2.1", NOW), NOW + 59 * HOUR)
    for number in range(60):
        uid = come(connection, f"1.{number}", NOW + (number * 7919 % 60) * HOUR)
        item = rows.load(connection, uid)
        assert item is not None
        priority = tuple(Priority)[number % 3]
        writing.save(connection, replace(item, priority=priority), NOW)
    now = NOW + 60 * HOUR
    shown = work_items.listing(connection, policy=Policy(), now=now)
    keys = [list_position(Priority(row.priority), row.created_at, Policy(), now) for row in shown]
    assert keys == sorted(keys)
    assert {fresh for fresh, _ in keys} == {False, True}


@pytest.mark.parametrize(("locked", "kept"), [(True, True), (False, False)])
def test_items_that_nobody_claimed_go_with_the_age_of_their_study(
    connection: Connection, locked: bool, kept: bool
) -> None:
    uid = come(connection, "1.1")
    claimed = come(connection, "1.2")
    claim(connection, claimed, NOW)
    header = Dataset()
    header.StudyInstanceUID = "1.3"
    waits_for_images = work_items.ensure_item(connection, header, NOW)
    late_images = come(connection, "1.4")
    connection.execute(update(STUDIES).where(STUDIES.c.study_instance_uid == "1.4").values(last_received_at=NOW + 9))
    subscriptions.subscribe(connection, Subscription(Subscriber("READER"), uid, locked, {}), NOW)
    assert writing.forget_ended(connection, NOW) == 0
    assert writing.forget_ended(connection, NOW + 1) == (not kept)
    left = set(connection.execute(select(WORK_ITEM.c.sop_instance_uid)).scalars())
    assert left == {claimed, waits_for_images, late_images} | ({uid} if kept else set())


@pytest.mark.parametrize(("locked", "kept"), [(True, True), (False, False), (None, False)])
def test_ended_items_go_unless_a_lock_keeps_them(connection: Connection, locked: bool | None, kept: bool) -> None:
    uid = come(connection, "1.1")
    waits = come(connection, "1.2", NOW + 1)
    if locked is not None:
        subscriptions.subscribe(connection, Subscription(Subscriber("READER"), uid, locked, {}), NOW)
    item = rows.load(connection, uid)
    assert item is not None
    writing.save(connection, replace(item, state=State.COMPLETED), NOW)
    assert writing.forget_ended(connection, NOW) == 0
    assert writing.forget_ended(connection, NOW + 1) == (not kept)
    left = set(connection.execute(select(WORK_ITEM.c.sop_instance_uid)).scalars())
    assert left == {waits} | ({uid} if kept else set())
    assert bool(connection.execute(select(SUBSCRIPTION)).all()) is kept
