"""Storage commitment as SCP: a scanner asks what we have, and is told over its association or over one of ours."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, Association, build_context, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, UnifiedProcedureStepPush, Verification
from sqlalchemy import select, update
from structlog.testing import capture_logs

from node.commitment import requests, same_association, scp
from node.commitment.messages import INSTANCE, CommitmentResult, Reference, Request, read_result, write_request
from node.commitment.result_sender import ResultSender
from node.ledger.engine import Ledger
from node.ledger.tables import JOB
from node.settings import Peer, Settings
from node.settings.commitment import Commitment
from node.upperlayer.requestor import RequestingAE
from node.worklist.ups.scp import SOP_CLASSES
from tests.node.commitment.conftest import PATIENCE, serve
from tests.node.conftest import PEERS, House, settings
from tests.node.phantoms import image, save
from tests.waiting import wait_until

__all__ = ["settings"]
COMMITMENT = StorageCommitmentPushModel
HELD, TORN, OTHER = "1.2.826.1", "1.2.826.2", "1.2.826.3"
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


def ct(*uids: str) -> tuple[Reference, ...]:
    return tuple(Reference(CTImageStorage, uid) for uid in uids)


@dataclass
class Scanner:
    """It asks, and hears reports over its own associations and on its port."""

    port: int = field(default_factory=free_port)
    answer: int = 0x0000
    before_answering: threading.Event = field(default_factory=threading.Event)
    heard: list[CommitmentResult] = field(default_factory=list)
    over: list[bool] = field(default_factory=list)  # whether it was an association of its own
    roles: list[tuple[bool, bool]] = field(default_factory=list)  # ours, when we called

    def on_report(self, event: Any) -> tuple[int, None]:
        self.heard.append(read_result(event.event_information))
        self.over.append(event.assoc.is_requestor)
        assert self.before_answering.wait(PATIENCE)
        if event.assoc.is_acceptor:
            (context,) = event.assoc.accepted_contexts
            self.roles.append((context.as_scu, context.as_scp))
        return self.answer, None

    @property
    def handlers(self) -> list[Any]:
        return [(evt.EVT_N_EVENT_REPORT, self.on_report)]

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="MODALITY", host="127.0.0.1", port=self.port, send=("images",), worklist=("change",))


@pytest.fixture
def scanner() -> Scanner:
    scanner = Scanner()
    scanner.before_answering.set()
    return scanner


@dataclass
class Node:
    """A node that has one instance whole, one torn, and two contents under one UID, of which one file is gone."""

    house: House
    settings: Settings
    ledger: Ledger
    stack: ExitStack

    def associate(self, scanner: Scanner, calling: str = "MODALITY") -> Association:
        sop_classes = (COMMITMENT, Verification, CTImageStorage, SOP_CLASSES[0])
        contexts = [build_context(uid, ExplicitVRLittleEndian) for uid in sop_classes]
        ae = RequestingAE(calling)
        association = ae.associate(*self.house.address, contexts, "READFIRST", evt_handlers=scanner.handlers)
        self.stack.callback(lambda: association.release() if association.is_established else None)
        assert association.is_established
        return association

    @property
    def waiting(self) -> list[Any]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(JOB).where(JOB.c.kind == "commitment result").order_by(JOB.c.id)))

    def tell(self, now: float | None = None) -> float:
        """Serve whom there is something to tell, at that time; the time."""
        at = time.time() if now is None else now
        reporter = ResultSender(self.settings, self.ledger, lambda: at)
        for who in reporter.due(at):
            reporter.serve(who)
        return at


def ask(
    association: Association, *references: Reference, uid: str = "2.25.77", action: int = 1, instance: str = INSTANCE
) -> int | None:
    request = write_request(Request(uid, references))
    status: int | None = association.send_n_action(request, action, COMMITMENT, instance)[0].get("Status")
    return status


@pytest.fixture
def node(
    settings: Settings, ledger: Ledger, listen: Callable[[Settings], House], scanner: Scanner, tmp_path: Path
) -> Iterator[Node]:
    settings = settings.model_copy(update={"peers": PEERS | {"modality": scanner.peer}})
    with ExitStack() as stack:
        node = Node(listen(settings), settings, ledger, stack)
        association = node.associate(scanner)
        contents = [image(HELD), image(TORN), image(OTHER), image(OTHER, StudyDate="20260202")]
        for number, content in enumerate(contents):
            file = save(tmp_path / f"{number}.dcm", content)
            assert association.send_c_store(file).Status == 0x0000
        association.release()
        (torn,) = tmp_path.rglob(f"{TORN}.dcm")
        with torn.open("ab") as more:
            more.truncate(torn.stat().st_size - 1)
        next(path for path in tmp_path.rglob(f"{OTHER}.*.dcm")).unlink()
        yield node


ALL = (*ct(HELD, TORN, OTHER, "1.2.3.404"), Reference("1.2.840.10008.5.1.4.1.1.4", HELD))
SAID = CommitmentResult("2.25.77", frozenset(ct(HELD)), {
    ALL[1]: 0x0112, ALL[2]: 0x0112, ALL[3]: 0x0112, ALL[4]: 0x0119,
})  # fmt: skip


def test_a_sender_that_stays_is_told_over_its_association(node: Node, scanner: Scanner) -> None:
    association = node.associate(scanner)
    assert ask(association, *ALL) == 0x0000
    wait_until(lambda: scanner.heard and not node.waiting)
    assert (scanner.heard, scanner.over) == ([SAID], [True])
    assert association.send_c_echo().Status == 0x0000  # and goes on
    assert ask(association, *ct(HELD), uid="2.25.78") == 0x0000
    wait_until(lambda: len(scanner.heard) == 2 and not node.waiting)
    assert scanner.heard[1] == CommitmentResult("2.25.78", frozenset(ct(HELD)), {})


def test_other_messages_are_served_while_a_report_waits_for_its_answer(
    node: Node, scanner: Scanner, tmp_path: Path
) -> None:
    association = node.associate(scanner)
    scanner.before_answering.clear()
    assert ask(association, *ct(HELD), uid="2.25.1") == 0x0000
    wait_until(lambda: scanner.heard)
    assert association.send_c_echo().Status == 0x0000
    assert association.send_c_store(save(tmp_path / "late.dcm", image("1.2.826.9"))).Status == 0x0000
    assert ask(association, *ct("1.2.826.9"), uid="2.25.2") == 0x0000
    assert len(scanner.heard) == 1
    scanner.before_answering.set()
    wait_until(lambda: len(scanner.heard) == 2 and not node.waiting)
    assert [(one.transaction_uid, len(one.committed)) for one in scanner.heard] == [("2.25.1", 1), ("2.25.2", 1)]


@pytest.mark.parametrize("roles", [True, False], ids=["role selection", "none"])
def test_a_sender_that_leaves_is_told_over_an_association_of_ours(node: Node, scanner: Scanner, roles: bool) -> None:
    association = node.associate(scanner)
    begun = time.monotonic()
    assert ask(association, *ALL) == 0x0000
    association.release()
    assert association.is_released
    assert time.monotonic() - begun < same_association.ANSWER_SECONDS  # nobody waits for the report then
    wait_until(lambda: node.waiting[0].due_at <= time.time())
    ae = AE("MODALITY")
    ae.add_supported_context(COMMITMENT, **({"scu_role": True, "scp_role": True} if roles else {}))
    node.stack.callback(serve(ae, scanner.port, scanner.handlers))
    node.tell()
    assert (scanner.heard, scanner.over, node.waiting) == ([SAID], [False], [])
    assert scanner.roles == ([(True, False)] if roles else [(False, True)])


@refusal_is_meant
def test_a_report_is_tried_again_until_it_is_taken_also_after_a_restart(node: Node, scanner: Scanner) -> None:
    with node.ledger.write() as connection:  # asked, and then the node was killed
        request = Request("2.25.77", ALL)
        assert requests.put(connection, "MODALITY", request, time.time(), 15.0) is not None
    node.tell()
    assert (node.waiting[0].attempts, scanner.heard) == (0, [])  # its own association might still take it
    at = node.tell(time.time() + 15.0)  # nobody listens there
    assert node.waiting[0].attempts == 1
    assert 3.75 <= node.waiting[0].due_at - at <= 6.25
    ae = AE("MODALITY")
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    node.stack.callback(serve(ae, scanner.port, scanner.handlers))
    scanner.answer = 0x0110
    at = node.tell(node.waiting[0].due_at)
    assert node.waiting[0].attempts == 2
    assert 11.25 <= node.waiting[0].due_at - at <= 18.75
    scanner.answer = 0x0000
    node.tell(node.waiting[0].due_at)
    assert (scanner.heard, node.waiting) == ([SAID, SAID], [])
    gc.collect()  # that socket goes here, where it is meant


@refusal_is_meant
def test_a_report_that_nobody_takes_is_dropped_at_last_and_said(node: Node) -> None:
    with node.ledger.write() as connection:
        requests.put(connection, "MODALITY", Request("2.25.77", ALL), time.time(), 0.0)
    node.tell()
    assert len(node.waiting) == 1
    hours = Commitment().report_hours
    with capture_logs() as logs:
        node.tell(time.time() + hours * 3600 + 1)
    assert node.waiting == []
    assert [log["reports"] for log in logs if log["event"].startswith("commitment results dropped")] == [1]
    gc.collect()  # that socket goes here, where it is meant


def test_the_same_question_again_is_one_report(node: Node, scanner: Scanner) -> None:
    with node.ledger.write() as connection:
        put = requests.put(connection, "MODALITY", Request("2.25.77", ALL), time.time(), 60.0)
        assert requests.put(connection, "MODALITY", Request("2.25.77", ALL[::-1]), time.time(), 60.0) is None
        assert requests.put(connection, "SCANNER2", Request("2.25.77", ALL), time.time(), 60.0) is not None
    assert put is not None
    association = node.associate(scanner)
    assert ask(association, *ALL) == 0x0000
    assert len(node.waiting) == 2


def test_another_question_under_a_transaction_in_use_fails_whole(node: Node, scanner: Scanner) -> None:
    with node.ledger.write() as connection:
        requests.put(connection, "MODALITY", Request("2.25.77", ALL), time.time(), 60.0)
    assert ask(node.associate(scanner), *ct(HELD)) == 0x0000
    wait_until(lambda: scanner.heard)
    assert scanner.heard == [CommitmentResult("2.25.77", frozenset(), dict.fromkeys(ct(HELD), 0x0131))]
    wait_until(lambda: len(node.waiting) == 1)


@pytest.mark.parametrize("calling", ["READER"])
def test_only_who_may_send_images_may_ask(node: Node, scanner: Scanner, calling: str) -> None:
    assert ask(node.associate(scanner, calling), *ct(HELD)) == 0x0124
    assert node.waiting == []


def test_who_has_no_table_may_not_ask_though_it_may_send(
    settings: Settings, ledger: Ledger, listen: Callable[[Settings], House], scanner: Scanner
) -> None:
    open_door = settings.node.model_copy(update={"accept_unknown": True})
    settings = settings.model_copy(update={"node": open_door})
    with ExitStack() as stack:
        node = Node(listen(settings), settings, ledger, stack)
        assert ask(node.associate(scanner, "STRANGER"), *ct(HELD)) == 0x0124


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"action": 2}, 0x0123), ({"instance": "1.2.3"}, 0x0112), ({"uid": ""}, 0x0115), ({"references": ()}, 0x0115),
        ({"references": (Reference("", HELD),)}, 0x0115),
    ],
    ids=["no such action", "no such instance", "no transaction", "nothing asked for", "no class"],
)  # fmt: skip
def test_a_question_that_is_none_is_refused(node: Node, scanner: Scanner, given: dict[str, Any], status: int) -> None:
    association = node.associate(scanner)
    asked = given.pop("references", ct(HELD))
    assert ask(association, *asked, **given) == status
    assert association.send_c_echo().Status == 0x0000
    assert node.waiting == []


def test_too_much_is_refused(node: Node, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    association = node.associate(scanner)
    monkeypatch.setattr(requests, "MOST_INSTANCES", 2)
    assert ask(association, *ct(HELD, TORN, OTHER)) == 0x0213
    monkeypatch.setattr(requests, "MOST_WAITING", 1)
    with node.ledger.write() as connection:
        requests.put(connection, "MODALITY", Request("2.25.1", ct(HELD)), time.time(), 60.0)
    assert ask(association, *ct(HELD)) == 0x0213
    assert [row.reference for row in node.waiting] == ["2.25.1"]


def test_what_cannot_be_written_down_is_not_answered_with_success(
    node: Node, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node.ledger.write() as connection:
        connection.exec_driver_sql("ALTER TABLE job RENAME TO gone")
    assert ask(node.associate(scanner), *ct(HELD)) == 0x0213
    with node.ledger.write() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO job")


def test_a_thousand_instances_are_looked_for(node: Node, scanner: Scanner) -> None:
    asked = ct(HELD, *(f"1.2.3.{number}" for number in range(1200)))
    assert ask(node.associate(scanner), *asked) == 0x0000
    wait_until(lambda: scanner.heard)
    assert (len(scanner.heard[0].committed), len(scanner.heard[0].failed)) == (1, 1200)


def test_the_worklist_has_its_n_action_still(node: Node, scanner: Scanner) -> None:
    association = node.associate(scanner)
    information = Dataset()
    information.ProcedureStepState = "IN PROGRESS"
    status, _ = association.send_n_action(information, 1, UnifiedProcedureStepPush, "1.2.3")
    assert status.Status == 0x0123  # of Push: what Pull is for


def test_a_peer_that_lost_its_table_waits(node: Node) -> None:
    with node.ledger.write() as connection:
        requests.put(connection, "GONE", Request("2.25.77", ALL), time.time(), 0.0)
        connection.execute(update(JOB).values(due_at=0.0))
    node.tell()
    assert node.waiting[0].attempts == 1


def test_an_association_of_a_report_is_held_no_longer_than_it_says() -> None:
    assert scp._HOLD > same_association.GRACE_SECONDS + same_association.ANSWER_SECONDS
