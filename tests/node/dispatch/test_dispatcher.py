"""The node's dispatcher on a real ledger and a real Redis; the clock is given, nothing waits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from node.admission.associations import RELEASED
from node.dispatch.broker import ANALYZE, DELIVER, TASKS, Broker, lists_of, make_app
from node.dispatch.completeness import PATIENCE
from node.dispatch.dispatcher import NOTIFY_AGAIN, Dispatcher
from node.dispatch.embedded_redis import EmbeddedRedis
from node.entities import HIGH, LOW, MEDIUM, AnalysisReport, FoundFinding, StudyState
from node.errors import OutOfResources, QueueUnavailable
from node.ledger import studies
from node.ledger.engine import Ledger
from node.ledger.tables import STUDY
from node.receiving import instances
from node.sending import circuits, deliveries
from node.settings import Peer, Policy, Settings, Worklist
from node.worklist.events import writing
from node.worklist.items import rows
from node.worklist.items.json_model import Json, put
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.orders import orders
from node.worklist.orders.orders import Order
from node.worklist.reading import work_items
from node.worklist.triage import decisions
from tests.node.admission.test_associations import opened
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import result, stored
from tests.node.slow_peers import dribbles, hanging
from tests.waiting import wait_until

NOW, QUIET = 1000.0, 2.0


def nothing(_connection: Connection, _uid: str, _now: float) -> None:
    """Write nothing else of a study that is complete."""


@pytest.fixture
def broker(redis_server: EmbeddedRedis) -> Broker:
    return Broker(make_app(redis_server.url, 60.0))


@pytest.fixture
def dispatcher(settings: Settings, ledger: Ledger, broker: Broker) -> Dispatcher:
    return Dispatcher(settings, ledger, broker, nothing, lambda: NOW)


def receive(dispatcher: Dispatcher, ledger: Ledger, sop_instance_uid: str = "1.1", study: str = UID) -> None:
    """One instance over an association of its own, which is released at once."""
    association = opened(dispatcher.associations)
    dispatcher.associations.receiving(association, study)
    with ledger.write() as connection:
        instances.record_instance(connection, stored(sop_instance_uid, study_instance_uid=study), "MODALITY", NOW)
    dispatcher.associations.end(association, RELEASED, closed=True)


def states(ledger: Ledger) -> dict[str, str]:
    with ledger.read() as connection:
        return {row.study_instance_uid: row.state for row in connection.execute(select(STUDY))}


def empty(server: EmbeddedRedis) -> None:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        for queue in TASKS.values():
            client.delete(*lists_of(queue))


def test_a_quiet_study_is_queued_and_the_workers_notified_once(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker
) -> None:
    receive(dispatcher, ledger)
    dispatcher.dispatch(NOW + QUIET - 0.1)
    assert (states(ledger)[UID], broker.waiting(ANALYZE)) == (StudyState.RECEIVING, 0)
    dispatcher.dispatch(NOW + QUIET)
    dispatcher.dispatch(NOW + QUIET + 0.1)
    assert (states(ledger)[UID], broker.waiting(ANALYZE)) == (StudyState.QUEUED, 1)


def test_a_study_whose_message_was_lost_is_sent_again(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, redis_server: EmbeddedRedis
) -> None:
    receive(dispatcher, ledger)
    dispatcher.dispatch(NOW + QUIET)
    empty(redis_server)
    dispatcher.dispatch(NOW + QUIET + NOTIFY_AGAIN - 1)
    assert broker.waiting(ANALYZE) == 0
    dispatcher.dispatch(NOW + QUIET + NOTIFY_AGAIN + 1)
    dispatcher.dispatch(NOW + QUIET + 3 * NOTIFY_AGAIN)  # this one still waits in the queue: no second message
    assert broker.waiting(ANALYZE) == 1


def test_a_study_whose_worker_died_is_queued_again(dispatcher: Dispatcher, ledger: Ledger, broker: Broker) -> None:
    receive(dispatcher, ledger)
    dispatcher.dispatch(NOW + QUIET)
    with ledger.write() as connection:
        assert studies.claim(connection, UID, 1, NOW + 3, 20.0)
    dispatcher.dispatch(NOW + 22)
    assert states(ledger)[UID] == StudyState.ANALYSING
    dispatcher.dispatch(NOW + 24)
    assert (states(ledger)[UID], broker.waiting(ANALYZE)) == (StudyState.QUEUED, 2)


def test_workers_are_notified_of_a_delivery_and_again_when_lost(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, redis_server: EmbeddedRedis
) -> None:
    receive(dispatcher, ledger)
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result()], ["reader"], NOW)
    dispatcher.dispatch(NOW)
    dispatcher.dispatch(NOW + 1)
    assert broker.waiting(DELIVER) == 1
    empty(redis_server)
    dispatcher.dispatch(NOW + NOTIFY_AGAIN + 1)
    assert broker.waiting(DELIVER) == 1


def test_workers_are_notified_once_of_all_that_is_due_for_a_peer_and_not_of_one_that_is_only_probed(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker
) -> None:
    with ledger.write() as connection:
        for number in range(3):
            uid = f"1.2.{number}"
            instances.record_instance(connection, stored(f"1.9.{number}", study_instance_uid=uid), "MODALITY", NOW)
            deliveries.put(connection, uid, 1, [result(f"2.25.{number}")], ["pacs", "reader", "probed"], NOW)
            circuits.record_failure(connection, "probed", uid, "it does not answer", NOW)
    dispatcher.dispatch(NOW)
    dispatcher.dispatch(NOW + 1)
    assert broker.waiting(DELIVER) == 2


def test_a_study_that_waits_for_its_package_is_sent_again_when_it_is_due(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, redis_server: EmbeddedRedis
) -> None:
    receive(dispatcher, ledger)
    dispatcher.dispatch(NOW + QUIET)
    empty(redis_server)
    with ledger.write() as connection:
        assert studies.claim(connection, UID, 1, NOW + 3, 20.0)
        studies.postpone(connection, UID, 1, NOW + 3, NOW + 60, "waits")
    dispatcher.dispatch(NOW + 59)
    assert broker.waiting(ANALYZE) == 0
    dispatcher.dispatch(NOW + 60)
    assert broker.waiting(ANALYZE) == 1


def test_without_its_queue_the_node_keeps_the_study_and_notifies_later(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(dispatcher, ledger)
    assert redis_server.process is not None
    redis_server.process.terminate()
    redis_server.process.wait(10)
    monkeypatch.delattr("kombu.utils.functional.sleep")  # the dispatcher are not held up by pauses between retries
    with pytest.raises(QueueUnavailable):
        dispatcher.dispatch(NOW + QUIET)
    assert states(ledger)[UID] == StudyState.QUEUED
    redis_server.start()
    dispatcher.dispatch(NOW + QUIET + 1)
    assert broker.waiting(ANALYZE) == 1


def test_the_loop_goes_on_after_a_step_that_fails(settings: Settings, ledger: Ledger, broker: Broker) -> None:
    calls, again = itertools.count(), threading.Event()
    dispatcher = Dispatcher(settings, ledger, broker, nothing)

    def fail_once(_now: float) -> None:
        if next(calls) == 0:
            raise ZeroDivisionError
        again.set()

    dispatcher._release_lost = fail_once  # type: ignore[method-assign]
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    assert again.wait(60)
    dispatcher.stop()
    thread.join()


def late(number: int) -> float:
    """Long enough after `NOW` that an attempt is made again."""
    return NOW + QUIET + 1000.0 * number


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, RecursionError])
def test_a_study_that_meets_a_bug_is_tried_three_times_and_holds_no_other_back(
    settings: Settings, ledger: Ledger, broker: Broker, error: type[Exception]
) -> None:
    tries: list[str] = []

    def fail(_connection: Connection, uid: str, _now: float) -> None:
        tries.append(uid)
        if uid == UID:
            raise error

    dispatcher = Dispatcher(settings, ledger, broker, fail, lambda: NOW)
    receive(dispatcher, ledger)
    receive(dispatcher, ledger, "1.2", study="1.2.99")
    with capture_logs():
        for tenth in range(20):
            dispatcher.dispatch(NOW + QUIET + tenth / 10)
    assert states(ledger) == {UID: StudyState.RECEIVING, "1.2.99": StudyState.QUEUED}
    assert broker.waiting(ANALYZE) == 1
    assert tries.count(UID) == 2  # with the other one, and by itself: one attempt
    with capture_logs() as logged:
        for number in range(1, 6):
            dispatcher.dispatch(late(number))
    assert tries.count(UID) == 4
    reason = f"could not be queued for its analysis in 3 attempts: {error.__name__} in our software"
    assert states(ledger)[UID] == StudyState.FAILED
    assert [log["event"] for log in logged] == ["a study cannot be queued"] * 2 + ["study failed"]
    with ledger.read() as connection:
        (item,) = work_items.listing(connection)
        assert reason in item.reason
        assert (
            reason in connection.execute(select(STUDY.c.reason).where(STUDY.c.study_instance_uid == UID)).scalar_one()
        )


class Killed(BaseException):
    """As a kill -9 in the middle of it."""


def test_a_study_that_ends_the_node_is_tried_three_times(settings: Settings, ledger: Ledger, broker: Broker) -> None:
    def die(_connection: Connection, _uid: str, _now: float) -> None:
        raise Killed

    receive(Dispatcher(settings, ledger, broker, die, lambda: NOW), ledger)
    for number in range(studies.MOST_ATTEMPTS):
        with pytest.raises(Killed):
            Dispatcher(settings, ledger, broker, die, lambda: NOW).dispatch(late(1 + number))
    Dispatcher(settings, ledger, broker, die, lambda: NOW).dispatch(late(9))
    assert states(ledger)[UID] == StudyState.FAILED
    with ledger.read() as connection:
        (item,) = work_items.listing(connection)
    assert "the node ended each time" in item.reason


def test_a_ledger_that_takes_nothing_is_no_attempt_of_the_study(
    settings: Settings, ledger: Ledger, broker: Broker
) -> None:
    full = [True] * 10

    def write(_connection: Connection, _uid: str, _now: float) -> None:
        if full:
            full.pop()
            raise OutOfResources("the disk is full")

    dispatcher = Dispatcher(settings, ledger, broker, write, lambda: NOW)
    receive(dispatcher, ledger)
    for _ in range(10):
        with pytest.raises(OutOfResources):
            dispatcher.dispatch(NOW + QUIET)
    dispatcher.dispatch(NOW + QUIET)
    assert states(ledger)[UID] == StudyState.QUEUED


def test_late_images_give_a_study_its_attempts_again(dispatcher: Dispatcher, ledger: Ledger) -> None:
    receive(dispatcher, ledger)
    with ledger.write() as connection:
        for _ in range(studies.MOST_ATTEMPTS):
            studies.begin_queueing(connection, [UID])
    dispatcher.dispatch(NOW + QUIET)
    assert states(ledger)[UID] == StudyState.FAILED
    receive(dispatcher, ledger, "1.2")
    dispatcher.dispatch(NOW + QUIET)
    assert states(ledger)[UID] == StudyState.QUEUED


def test_of_many_complete_studies_the_urgent_ones_are_queued_first(
    dispatcher: Dispatcher, ledger: Ledger, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much as a slice of time allows; the rest in the next look, after the workers are notified."""
    monkeypatch.setattr("node.dispatch.dispatcher._SLICE", 0.0)
    monkeypatch.setattr("node.dispatch.dispatcher._BATCH", 2)
    for number in range(4):
        receive(dispatcher, ledger, f"1.{number}", study=f"1.2.{number}")
    with ledger.write() as connection:
        instances.record_instance(connection, stored("1.8", study_instance_uid="1.2.8"), "MODALITY", NOW, HIGH)
        instances.record_instance(connection, stored("1.9", study_instance_uid="1.2.9"), "MODALITY", NOW)
        accession: Json = {}
        put(accession, "AccessionNumber", "A1")
        studies.set_header(connection, "1.2.9", accession)
        orders.record(connection, Order("P", "F", "A1", "", Priority.HIGH, "S", False, "RIS", "M"), NOW)
    dispatcher.dispatch(NOW + PATIENCE * QUIET)
    assert {uid for uid, state in states(ledger).items() if state == StudyState.QUEUED} == {"1.2.8", "1.2.9"}
    assert broker.waiting(ANALYZE) == 2
    for _ in range(2):
        dispatcher.dispatch(NOW + PATIENCE * QUIET)
    assert set(states(ledger).values()) == {StudyState.QUEUED}


def test_a_study_is_complete_though_its_sender_goes_on_sending_others(dispatcher: Dispatcher, ledger: Ledger) -> None:
    association = opened(dispatcher.associations)
    for number in range(10):
        now, uid = NOW + number * 5, f"1.2.{number}"
        dispatcher.associations.receiving(association, uid)
        with ledger.write() as connection:
            instances.record_instance(connection, stored(f"1.{number}", study_instance_uid=uid), "MODALITY", now)
        dispatcher.dispatch(now)
    found = states(ledger)
    assert [found[f"1.2.{number}"] for number in (0, 3, 4, 9)] == ["queued", "queued", "receiving", "receiving"]
    with ledger.read() as connection:
        reason = connection.execute(select(STUDY.c.evidence).where(STUDY.c.study_instance_uid == "1.2.0")).scalar_one()
    assert reason == "association still open, then 30 s quiet"


def test_a_study_that_workers_die_of_has_failed_and_the_worklist_says_so(
    dispatcher: Dispatcher, ledger: Ledger
) -> None:
    receive(dispatcher, ledger)
    header = Dataset()
    header.StudyInstanceUID = UID
    with ledger.write() as connection:
        work_items.ensure_item(connection, header, NOW)
    dispatcher.dispatch(NOW + QUIET)
    for attempt in range(studies.MOST_ATTEMPTS):
        with ledger.write() as connection:
            assert studies.claim(connection, UID, 1, NOW + 100 * attempt, 20.0)
        dispatcher.dispatch(NOW + 100 * attempt + 50)
    assert states(ledger)[UID] == StudyState.FAILED
    with ledger.read() as connection:
        (row,) = work_items.listing(connection)
    assert "the worker died 3 times" in row.reason


@pytest.fixture
def archive() -> Iterator[Callable[[int], Peer]]:
    """Start an archive that says how many instances it has of every study; below zero it refuses."""
    servers = []

    def archive(count: int) -> Peer:
        def on_find(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
            found = Dataset()
            found.NumberOfStudyRelatedInstances = count
            yield (0xFF00, found) if count >= 0 else (0xA700, None)

        ae = AE("ARCHIVE")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)])
        servers.append(ae)
        return Peer(ae_title="ARCHIVE", host="127.0.0.1", port=server.server_address[1], query=True)

    yield archive
    for ae in servers:
        ae.shutdown()


@pytest.mark.parametrize(("count", "state"), [(2, StudyState.QUEUED), (3, StudyState.RECEIVING)])
def test_the_archives_count_completes_a_study_before_it_is_quiet(
    settings: Settings, ledger: Ledger, broker: Broker, archive: Callable[[int], Peer], count: int, state: StudyState
) -> None:
    dispatcher = Dispatcher(
        settings.model_copy(update={"peers": {"pacs": archive(count)}}),
        ledger,
        broker,
        nothing,
    )
    receive(dispatcher, ledger, "1.1")
    receive(dispatcher, ledger, "1.2")
    wait_until(lambda: dispatcher.counts.of(UID) == (("pacs", count),))  # asked when the association ended
    dispatcher.dispatch(NOW + 0.1)
    assert states(ledger)[UID] == state
    with ledger.read() as connection:
        evidence = connection.execute(select(STUDY.c.evidence)).scalar_one()
    assert evidence == ("pacs counts 2 instances, all received" if state == StudyState.QUEUED else "")


def test_the_archive_is_asked_while_the_association_is_open(
    settings: Settings, ledger: Ledger, broker: Broker, archive: Callable[[int], Peer]
) -> None:
    peers = {"pacs": archive(1)}
    dispatcher = Dispatcher(settings.model_copy(update={"peers": peers}), ledger, broker, nothing, lambda: NOW)
    dispatcher.associations.receiving(opened(dispatcher.associations), UID)
    with ledger.write() as connection:
        instances.record_instance(connection, stored("1.1"), "MODALITY", NOW)
    dispatcher.dispatch(NOW + QUIET - 0.1)
    assert not dispatcher.counts._paused
    for _ in range(3):
        dispatcher.dispatch(NOW + QUIET)
    wait_until(lambda: dispatcher.counts.of(UID) != ())
    dispatcher.dispatch(NOW + QUIET + 0.1)
    assert states(ledger)[UID] == StudyState.QUEUED


def test_an_archive_that_refuses_the_question_is_logged(
    settings: Settings, ledger: Ledger, broker: Broker, archive: Callable[[int], Peer]
) -> None:
    refuses = archive(-1)
    dispatcher = Dispatcher(
        settings.model_copy(update={"peers": {"pacs": refuses}}),
        ledger,
        broker,
        nothing,
        lambda: NOW,
    )
    with capture_logs() as logged:
        dispatcher.counts.ask(frozenset({UID}))
        wait_until(lambda: logged)
    assert "answered C-FIND with status 0xA700" in logged[0]["reason"]
    assert dispatcher.counts.of(UID) == ()


def test_a_peer_that_crawls_does_not_hold_back_the_counts_of_another(
    settings: Settings, ledger: Ledger, broker: Broker, archive: Callable[[int], Peer]
) -> None:
    uids = [f"1.1.{number}" for number in range(20)]
    with hanging(dribbles) as slow:
        peers = {"slow": slow.model_copy(update={"query": True}), "pacs": archive(7)}
        dispatcher = Dispatcher(settings.model_copy(update={"peers": peers}), ledger, broker, nothing, lambda: NOW)
        for uid in uids:
            dispatcher.counts.ask(frozenset({uid}))
        wait_until(lambda: all(dispatcher.counts.of(uid) == (("pacs", 7),) for uid in uids))
        dispatcher.counts.keep_only(uids)
        dispatcher.counts.keep_only(uids[:3])
        assert set(dispatcher.counts._waiting["slow"]) <= set(uids[:3]), "it is asked about studies that are complete"
        dispatcher.stop()


def send(dispatcher: Dispatcher, ledger: Ledger, uid: str, sender: str, at: float, rank: int = MEDIUM) -> None:
    """A study comes, is complete, and waits for its analysis."""
    with ledger.write() as connection:
        instances.record_instance(connection, stored(f"{uid}.1", study_instance_uid=uid), sender, at, rank)
        (row,) = studies.receiving(connection)
        assert studies.complete(connection, row, "quiet", at)


def work_off(dispatcher: Dispatcher, ledger: Ledger, server: EmbeddedRedis, late: Callable[[int], None]) -> list[str]:
    """What a worker does, one message after another, while the node goes its rounds; the order of the studies."""
    taken: list[str] = []
    app = make_app(server.url, 60.0)
    with app.connection_for_read() as connection, connection.SimpleQueue(TASKS[ANALYZE]) as queue:
        for number in itertools.count():
            late(number)
            dispatcher.dispatch(NOW + number)
            try:
                message = queue.get(timeout=0.5)
            except queue.Empty:
                return taken
            uid, generation = (message.payload[1][key] for key in ("study_instance_uid", "generation"))
            with ledger.write() as transaction:
                if studies.claim(transaction, uid, generation, NOW + number, 20.0):
                    taken.append(uid)
                    studies.finish(transaction, uid, generation, AnalysisReport(StudyState.ANALYSED), NOW + number)
            message.ack()
    return taken


def test_an_urgent_study_is_first_and_a_small_sender_is_not_held_up(
    dispatcher: Dispatcher, ledger: Ledger, redis_server: EmbeddedRedis
) -> None:
    for number in range(20):
        send(dispatcher, ledger, f"1.1.{number}", "MANY", NOW - 100 + number)
    send(dispatcher, ledger, "1.2.0", "FEW", NOW - 10)
    send(dispatcher, ledger, "1.3.0", "MANY", NOW - 9, LOW)
    send(dispatcher, ledger, "1.4.0", "MANY", NOW - 8, HIGH)

    def late(number: int) -> None:
        if number == 5:  # four routine studies are in the queue already
            send(dispatcher, ledger, "1.5.0", "FEW", NOW, HIGH)
        if number == 8:
            send(dispatcher, ledger, "1.6.0", "OTHER", NOW)

    order = work_off(dispatcher, ledger, redis_server, late)
    assert len(order) == len(set(order)) == 25
    assert order[:3] == ["1.4.0", "1.2.0", "1.1.0"]  # the urgent one was a turn of its sender
    assert order[5] == "1.5.0"
    assert order.index("1.6.0") == 8  # before those of MANY that are in the queue already
    assert [uid for uid in order if uid.startswith("1.1.")] == [f"1.1.{number}" for number in range(20)]
    assert order[-1] == "1.3.0"


def test_one_who_sends_all_as_urgent_does_not_hold_up_anothers_urgent_study(
    dispatcher: Dispatcher, ledger: Ledger, redis_server: EmbeddedRedis
) -> None:
    for number in range(20):
        send(dispatcher, ledger, f"1.1.{number}", "MANY", NOW - 100 + number, HIGH)

    def late(number: int) -> None:
        if number == 5:
            send(dispatcher, ledger, "1.2.0", "FEW", NOW, HIGH)

    order = work_off(dispatcher, ledger, redis_server, late)
    assert len(order) == len(set(order)) == 21
    assert order.index("1.2.0") == 5


def test_a_study_that_a_person_orders_stat_overtakes_those_that_wait(
    dispatcher: Dispatcher, ledger: Ledger, redis_server: EmbeddedRedis
) -> None:
    for number in range(6):
        send(dispatcher, ledger, f"1.1.{number}", "MODALITY", NOW - 100 + number)

    def late(number: int) -> None:
        if number in (1, 2):
            header = Dataset()
            header.StudyInstanceUID = f"1.1.{4 - number}"  # the first waits in the queue, the second, too
            with ledger.write() as connection:
                uid = work_items.ensure_item(connection, header, NOW)
                item = rows.load(connection, uid)
                assert item is not None
                source = Source.HUMAN if number == 1 else Source.TRIAGE
                writing.save(connection, replace(item, priority=Priority.HIGH, source=source), NOW)

    order = work_off(dispatcher, ledger, redis_server, late)
    assert order == ["1.1.0", "1.1.3", "1.1.1", "1.1.2", "1.1.4", "1.1.5"]


def find_two(ledger: Ledger, policy: Policy) -> None:
    """Two studies with an urgent finding."""
    found = (FoundFinding("chest-xray", "Pneumothorax", "probability", 0.9, 0.5, True, "", "HIGH"),)
    with ledger.write() as connection:
        for uid in ("1.1", "1.2"):
            instances.record_instance(connection, stored(f"{uid}.1", study_instance_uid=uid), "MODALITY", NOW)
            header = Dataset()
            header.StudyInstanceUID = uid
            work_items.ensure_item(connection, header, NOW)
            decisions.decide_study(connection, decisions.Analysed(uid, 1, found), policy, NOW)


def test_alerts_that_waited_and_items_that_ended_are_seen_to(dispatcher: Dispatcher, ledger: Ledger) -> None:
    policy = Policy(alerts_an_hour=1)
    dispatcher._settings = dispatcher._settings.model_copy(update={"worklist": Worklist(policy=policy)})
    find_two(ledger, policy)
    dispatcher.dispatch(NOW + 3599)
    assert priorities(ledger) == {"1.1": "HIGH", "1.2": "MEDIUM"}
    dispatcher.dispatch(NOW + 3605)
    assert priorities(ledger) == {"1.1": "HIGH", "1.2": "HIGH"}
    with ledger.write() as connection:
        (item,) = rows.of_study(connection, "1.1")
        writing.save(connection, replace(item, state=State.COMPLETED), NOW)
    dispatcher.dispatch(NOW + 89 * 86400)
    assert set(priorities(ledger)) == {"1.1", "1.2"}
    dispatcher.dispatch(NOW + 91 * 86400)
    assert priorities(ledger) == {}


def test_no_alert_that_waited_is_raised_where_triage_is_off(dispatcher: Dispatcher, ledger: Ledger) -> None:
    policy = Policy(alerts_an_hour=1)
    find_two(ledger, policy)
    dispatcher._settings = dispatcher._settings.model_copy(update={"worklist": Worklist(sinks=(), policy=policy)})
    dispatcher.dispatch(NOW + 3605)
    assert priorities(ledger) == {"1.1": "HIGH", "1.2": "MEDIUM"}
    with ledger.read() as connection:
        assert decisions.waiting(connection) == 0


def priorities(ledger: Ledger) -> dict[str, str]:
    with ledger.read() as connection:
        return {row.study_instance_uid: row.priority for row in work_items.listing(connection, final=True)}
