"""Storage commitment as SCU: a PACS that answers at once, late, never, wrongly, twice; and queries where it cannot."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from pynetdicom import Association
from sqlalchemy import select

from node.commitment import scu
from node.commitment.messages import CommitmentResult
from node.commitment.scu import CommitmentScu
from node.entities import JobState
from node.ledger import jobs
from node.ledger.tables import JOB
from node.plurals import counted
from node.sending import deliveries
from tests.node.commitment.conftest import (
    COMMITMENT,
    FIND,
    LONG_AGO,
    UIDS,
    Beside,
    Pacs,
    make_due,
    references,
)  # fmt: skip
from tests.node.phantoms import STUDY
from tests.waiting import wait_until

Start = Callable[..., Pacs]
MakeBeside = Callable[[Pacs], Beside]
STORED, DELIVERED, PENDING = JobState.STORED, JobState.DELIVERED, JobState.PENDING
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


def test_what_a_pacs_took_is_not_delivered_before_it_says_so(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, FIND))
    node.ask()
    (request,) = pacs.asked
    assert request.references == references(*UIDS)
    assert (node.states, pacs.queried, len(pacs.associations)) == ([STORED] * 3, 0, 1)
    assert {row.transaction_uid for row in node.rows} == {request.transaction_uid}
    with node.ledger.read() as connection:
        assert deliveries.undelivered(connection) == 3
        assert deliveries.delivered_count(connection, STUDY, "pacs") == 3  # its count of the study holds them
    node.ask()
    assert len(pacs.asked) == 1  # once is enough


def test_a_report_over_the_same_association(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, FIND, here=True))
    node.ask(stay_seconds=10.0)
    assert (node.states, node.errors, pacs.queried) == ([DELIVERED] * 3, [""] * 3, 0)
    assert len(pacs.associations) == 1
    assert node.story("delivered") == ["3 objects to pacs, which committed to them: statement, statement, statement"]
    wait_until(lambda: pacs.answers == [0x0000])


@pytest.mark.parametrize("roles", [True, False], ids=["as SCP by role selection", "without role selection"])
def test_a_report_over_another_association_later(start: Start, beside: MakeBeside, roles: bool) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    assert pacs.call(node, pacs.report(pacs.asked[0]), roles=roles) == 0x0000
    assert node.states == [DELIVERED] * 3


def test_a_report_that_comes_twice_changes_nothing_and_is_taken(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    report = pacs.report(pacs.asked[0])
    assert [pacs.call(node, report) for _ in range(2)] == [0x0000] * 2
    assert (
        pacs.call(node, CommitmentResult(report.transaction_uid, frozenset(), dict.fromkeys(report.committed, 0x0112)))
        == 0
    )
    assert (node.states, len(node.story("delivered"))) == ([DELIVERED] * 3, 1)


def test_what_a_report_names_as_failed_is_sent_again_and_asked_for_anew(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, refuses={"2.25.2": 0x0112}))
    node.ask()
    first = pacs.report(pacs.asked[0])
    assert pacs.call(node, first) == 0x0000
    assert node.states == [DELIVERED, PENDING, DELIVERED]
    said = "the peer does not commit to it: no such object instance (0x0112)"
    assert node.errors == ["", said, ""]
    assert node.story("not delivered")[0].startswith(f"statement to pacs: {said}; sent again in ")
    with node.ledger.read() as connection:
        assert deliveries.due(connection, node.now, node.now) == []  # after a pause, that grows
        assert deliveries.due(connection, node.now + 10, node.now + 10) == [(STUDY, "pacs")]
    node.send_again()
    assert node.states == [DELIVERED, STORED, DELIVERED]
    pacs.refuses.clear()
    node.ask()
    assert pacs.asked[1].references == references("2.25.2")
    assert pacs.asked[1].transaction_uid != pacs.asked[0].transaction_uid
    assert pacs.call(node, first) == 0x0000  # the old report again: it fails nothing that was sent since
    assert node.states == [DELIVERED, STORED, DELIVERED]
    assert pacs.call(node, pacs.report(pacs.asked[1])) == 0x0000
    assert node.states == [DELIVERED] * 3


def test_an_object_that_is_named_twice_has_failed(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    report = pacs.report(pacs.asked[0])
    both = CommitmentResult(report.transaction_uid, report.committed, {references("2.25.1")[0]: 0x0213})
    assert pacs.call(node, both) == 0x0000
    assert node.states == [PENDING, DELIVERED, DELIVERED]


def test_a_class_that_is_not_committed_to_is_queried(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, FIND, refuses={"2.25.3": 0x0122}))
    node.ask()
    pacs.call(node, pacs.report(pacs.asked[0]))
    assert node.states == [DELIVERED, DELIVERED, STORED]
    make_due(node.ledger)
    node.ask()
    assert (node.states, pacs.queried, len(pacs.asked)) == ([DELIVERED] * 3, 1, 1)


def test_a_duplicate_transaction_is_asked_for_under_another(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, refuses=dict.fromkeys(UIDS, 0x0131)))
    node.ask()
    pacs.call(node, pacs.report(pacs.asked[0]))
    make_due(node.ledger)
    node.ask()
    assert (node.states, len(pacs.asked)) == ([STORED] * 3, 2)
    assert pacs.asked[0].transaction_uid != pacs.asked[1].transaction_uid


@pytest.mark.parametrize("calling", ["PACS", "MODALITY"])
def test_a_report_of_a_transaction_that_we_did_not_ask_the_caller_for_is_refused(
    start: Start, beside: MakeBeside, calling: str
) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    other = pacs.peer.model_copy(update={"ae_title": "MODALITY"})
    node.settings = node.settings.model_copy(update={"peers": {"pacs": pacs.peer, "modality": other}})
    report = pacs.report(pacs.asked[0])
    unknown = CommitmentResult("2.25.404", report.committed, {}) if calling == "PACS" else report
    assert pacs.call(node, unknown, calling) == 0x0115
    assert node.states == [STORED] * 3


def test_a_report_that_is_none_is_refused_and_the_association_goes_on(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    good = pacs.report(pacs.asked[0])
    assert pacs.call(node, CommitmentResult("", good.committed, {})) == 0x0115
    assert pacs.call(node, good) == 0x0000


def test_a_report_is_known_though_it_comes_before_the_answer(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT))
    pacs.first = lambda _event, request: pacs.answers.append(pacs.call(node, pacs.report(request)))
    node.ask()
    assert set(pacs.answers) == {0x0000}
    assert node.states == [DELIVERED] * 3


def test_after_a_restart_the_report_is_known(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT))
    node.ask()
    again = Beside(node.settings, type(node.ledger)(node.ledger.url), node.listen)
    assert pacs.call(again, pacs.report(pacs.asked[0])) == 0x0000
    assert again.states == [DELIVERED] * 3
    again.ledger.close()


@pytest.mark.parametrize("shows", [UIDS, UIDS[:1]])
def test_no_report_in_time_then_a_query_says(start: Start, beside: MakeBeside, shows: tuple[str, ...]) -> None:
    node = beside(pacs := start(COMMITMENT, FIND, shows=shows))
    node.ask()
    node.now += LONG_AGO
    node.ask()
    lost = 3 - len(shows)
    assert (node.states, pacs.queried) == ([DELIVERED] * len(shows) + [PENDING] * lost, 1)
    with node.ledger.read() as connection:
        (told,) = connection.execute(select(JOB).where(JOB.c.kind == "audit message")).mappings().all()
    assert 'csd-code="110112"' in str(dict(told))
    kinds, objects = ", ".join(["statement"] * len(shows)), counted(len(shows), "object")
    assert node.story("delivered") == [f"{objects} to pacs, no result arrived, a query shows them: {kinds}"]
    assert node.errors == [""] * len(shows) + ["the peer took it and does not show it"] * lost


def test_a_pacs_that_takes_the_request_and_can_do_no_more_is_believed_in_the_end(
    start: Start, beside: MakeBeside
) -> None:
    node = beside(start(COMMITMENT))
    node.ask()
    node.now += LONG_AGO
    node.ask()
    assert node.states == [DELIVERED] * 3
    assert "did not say whether it keeps them (it cannot be queried)" in node.story("delivered")[0]


@pytest.mark.parametrize("accepted", [(COMMITMENT, FIND), (FIND,)], ids=["refuses N-ACTION", "no commitment"])
def test_a_pacs_that_does_not_commit_is_queried(start: Start, beside: MakeBeside, accepted: tuple[str, ...]) -> None:
    node = beside(pacs := start(*accepted, action=0x0110, shows=UIDS[:2]))
    node.ask()
    assert (node.states, pacs.queried, len(pacs.associations)) == ([DELIVERED, DELIVERED, STORED], 1, 1)
    assert node.story("delivered") == ["2 objects to pacs, a query shows them: statement, statement"]
    assert node.errors[2] == "the peer does not show it yet"
    assert node.rows[2].next_attempt_at == node.now + 5.0
    pacs.shows = UIDS
    node.now += 5.0
    node.ask()
    assert node.states == [DELIVERED] * 3


def test_what_is_never_shown_is_sent_again(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(FIND, shows=()))
    for _look in range(3):
        node.ask()
        node.now = node.rows[0].next_attempt_at
    assert (node.states, pacs.queried) == ([STORED] * 3, 3)
    node.now += LONG_AGO
    node.ask()
    assert (node.states, node.errors) == ([PENDING] * 3, ["the peer took it and does not show it"] * 3)


def test_a_query_that_fails_is_tried_again_and_ends_some_time(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(FIND, find=0xC001))
    node.ask()
    assert (node.states, node.errors) == ([STORED] * 3, ["PACS answered C-FIND with status 0xC001"] * 3)
    node.now += LONG_AGO
    node.ask()
    assert (node.states, pacs.queried) == ([DELIVERED] * 3, 2)
    assert "(PACS answered C-FIND with status 0xC001)" in node.story("delivered")[0]


def test_a_pacs_that_can_neither_is_believed(start: Start, beside: MakeBeside) -> None:
    node = beside(start("1.2.840.10008.1.1"))
    node.ask()
    assert node.states == [DELIVERED] * 3
    assert "which can neither commit to them nor be queried" in node.story("delivered")[0]


@refusal_is_meant
def test_a_pacs_that_is_down_is_asked_later(start: Start, beside: MakeBeside) -> None:
    node = beside(Pacs())
    node.ask()
    assert node.states == [STORED] * 3
    assert all("cannot be reached" in error for error in node.errors)
    assert {row.next_attempt_at for row in node.rows} == {node.now + 5.0}
    gc.collect()  # that socket goes here, where it is meant


def test_a_peer_that_is_not_asked_any_more_is_believed(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, FIND))
    node.settings = node.settings.model_copy(update={"peers": {}})
    node.ask()
    assert (node.states, pacs.associations) == ([DELIVERED] * 3, [])


def test_a_pacs_that_aborts_instead_of_answering_is_queried_later_and_not_asked_twice(
    start: Start, beside: MakeBeside
) -> None:
    node = beside(pacs := start(COMMITMENT, FIND))
    pacs.first = lambda event, _request: event.assoc.abort()
    node.ask()
    assert (node.states, pacs.queried) == ([STORED] * 3, 0)
    assert {row.next_attempt_at for row in node.rows} == {node.now + 60.0}
    report = pacs.report(pacs.asked[0])  # it may have understood
    node.now += 60.0
    node.ask()
    assert (node.states, pacs.queried, len(pacs.asked)) == ([DELIVERED] * 3, 1, 1)
    assert pacs.call(node, report) == 0x0000


def test_a_request_that_was_not_answered_is_made_again_where_nothing_can_be_queried(
    start: Start, beside: MakeBeside
) -> None:
    node = beside(pacs := start(COMMITMENT))
    pacs.first = lambda event, _request: event.assoc.abort()
    node.ask()
    pacs.first = lambda _event, _request: None
    node.now += 60.0
    node.ask()
    assert (node.states, len(pacs.asked)) == ([STORED] * 3, 2)
    assert pacs.call(node, pacs.report(pacs.asked[0])) == 0x0115
    assert pacs.call(node, pacs.report(pacs.asked[1])) == 0x0000
    assert node.states == [DELIVERED] * 3


def test_a_release_that_a_report_crosses_is_not_waited_for_long(
    start: Start, beside: MakeBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PACS that waits for the answer to its report does not answer a release; pynetdicom's patience is 60 s."""
    seen: list[Association] = []
    release = Association.release
    monkeypatch.setattr(Association, "release", lambda one: (seen.append(one), release(one)))
    beside(start(COMMITMENT)).ask()
    assert [association.acse_timeout for association in seen] == [scu._RELEASE_SECONDS] == [3.0]


def test_retry_asks_again_and_sends_nothing(start: Start, beside: MakeBeside) -> None:
    node = beside(pacs := start(COMMITMENT, FIND))
    node.ask()
    with node.ledger.write() as connection:
        assert jobs.retry(connection, STUDY, node.now) == 3  # asked about again, not sent again
    node.ask()
    assert (node.states, pacs.queried, len(pacs.asked)) == ([DELIVERED] * 3, 1, 1)


def test_the_loop_asks_by_itself(start: Start, beside: MakeBeside, looping: Callable[[Beside], CommitmentScu]) -> None:
    node = beside(start(COMMITMENT, here=True))
    looping(node)
    wait_until(lambda: node.states == [DELIVERED] * 3)
