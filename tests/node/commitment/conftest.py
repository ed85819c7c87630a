"""A PACS of pynetdicom that commits as each test says, a node beside it, and three objects that the PACS took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from pydicom import Dataset
from pynetdicom import AE, Association, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy import select, update

from node.commitment.messages import INSTANCE, CommitmentResult, Reference, Request, read_request, write_result
from node.commitment.scu import CommitmentScu
from node.entities import JobState
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, JOB
from node.receiving import instances
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Node, Peer, Settings
from node.settings.commitment import Commitment
from tests.node.conftest import House, ledger, listen
from tests.node.phantoms import STUDY, result, stored

__all__ = ["ledger", "listen"]
COMMITMENT, FIND = StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind
UIDS = ("2.25.1", "2.25.2", "2.25.3")
PATIENCE = 30.0
LONG_AGO = 7200.0  # seconds


@dataclass
class Pacs:
    """What it answers stands here, and what it was asked."""

    port: int = field(default_factory=free_port)
    action: int = 0x0000  # status of N-ACTION
    refuses: dict[str, int] = field(default_factory=dict)  # SOP Instance UID to Failure Reason
    shows: tuple[str, ...] = UIDS  # to C-FIND
    find: int = 0x0000  # status of C-FIND
    here: bool = False  # reports over the association of the request
    first: Callable[[Any, Request], None] = lambda _event, _request: None  # what it does before it answers
    asked: list[Request] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)
    queried: int = 0
    answers: list[int | None] = field(default_factory=list)  # statuses of its reports

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="PACS", host="127.0.0.1", port=self.port, receive=("results",), query=True)

    def report(self, request: Request) -> CommitmentResult:
        failed = {one: self.refuses[one.sop_instance_uid] for one in request.references
                  if one.sop_instance_uid in self.refuses}  # fmt: skip
        return CommitmentResult(request.transaction_uid, frozenset(request.references) - failed.keys(), failed)

    def on_action(self, event: Any) -> tuple[int, None]:
        request = read_request(event.action_information)
        self.asked.append(request)
        self.first(event, request)
        if self.here:
            threading.Thread(target=self._report_here, args=(event.assoc, request)).start()
        return self.action, None

    def _report_here(self, association: Association, request: Request) -> None:
        time.sleep(0.05)  # behind the answer to N-ACTION; nothing is tested by it
        self.send(association, self.report(request))

    def send(self, association: Association, report: CommitmentResult) -> None:
        event_type, information = write_result(report)
        status, _ = association.send_n_event_report(information, event_type, COMMITMENT, INSTANCE)
        self.answers.append(status.get("Status"))

    def call(self, node: Beside, report: CommitmentResult, calling: str = "PACS", *, roles: bool = True) -> int | None:
        """CommitmentResult over an association of its own, with or without role selection."""
        ae = AE(calling)
        ae.add_requested_context(COMMITMENT)
        negotiation = [build_role(COMMITMENT, scp_role=True)] if roles else []
        association = ae.associate("127.0.0.1", node.port, ae_title="READFIRST", ext_neg=negotiation)
        assert association.is_established
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == ((False, True) if roles else (True, False))
        self.send(association, report)
        association.release()
        return self.answers[-1]

    def on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.queried += 1
        assert (event.identifier.QueryRetrieveLevel, event.identifier.StudyInstanceUID) == ("IMAGE", STUDY)
        assert event.identifier.SeriesInstanceUID == "2.25.9"
        for uid in self.shows if not self.find else ():
            match = Dataset()
            match.SOPInstanceUID = uid
            yield 0xFF00, match
        yield self.find, None


def serve(ae: AE, port: int, handlers: list[Any]) -> Callable[[], None]:
    """As `start_server`, but that it ends at once; returns what ends it."""
    server = ae.make_server(("127.0.0.1", port), evt_handlers=handlers, server_class=ThreadedAssociationServer)
    ae._servers.append(server)  # where `shutdown` looks for it
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return ae.shutdown  # type: ignore[no-any-return]


@pytest.fixture
def start() -> Iterator[Callable[..., Pacs]]:
    """Start a PACS that accepts these SOP classes."""
    with ExitStack() as stack:

        def start(*sop_classes: str, **says: Any) -> Pacs:
            pacs, ae = Pacs(**says), AE("PACS")
            for uid in sop_classes:
                ae.add_supported_context(uid)
            handlers = [
                (evt.EVT_N_ACTION, pacs.on_action), (evt.EVT_C_FIND, pacs.on_find),
                (evt.EVT_ACCEPTED, lambda event: pacs.associations.append(event.assoc)),
            ]  # fmt: skip
            stack.callback(serve(ae, pacs.port, handlers))
            return pacs

        yield start


@dataclass
class Beside:
    """A node beside a PACS, at a time that the test says."""

    settings: Settings
    ledger: Ledger
    listen: Callable[[Settings], House]
    now: float = field(default_factory=time.time)

    @cached_property
    def port(self) -> int:
        """Where the node listens, from the first time on that somebody wants to know."""
        return self.listen(self.settings).address[1]

    def ask(self, **changes: float) -> None:
        """Serve the peer as the loop does when it is due."""
        settings = self.settings.model_copy(update={"commitment": Commitment(**({"stay_seconds": 0.0} | changes))})
        scu = CommitmentScu(settings, self.ledger, lambda: self.now)
        for name in scu.due(self.now):
            scu.serve(name)

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.rows]

    @property
    def errors(self) -> list[str]:
        return [row.last_error for row in self.rows]

    @property
    def rows(self) -> list[Any]:
        with self.ledger.read() as connection:
            return list(connection.execute(select(DELIVERY).order_by(DELIVERY.c.id)))

    def story(self, kind: str) -> list[str]:
        with self.ledger.read() as connection:
            query = select(EVENT.c.detail).where(EVENT.c.kind == kind).order_by(EVENT.c.id)
            return list(connection.execute(query).scalars())

    def send_again(self) -> None:
        """As the worker does, when the pause is over."""
        self.now += LONG_AGO
        with self.ledger.write() as connection:
            for row in deliveries.claim(connection, STUDY, "pacs", self.now, 20.0):
                deliveries.record_sent(connection, row, "pacs", "", self.now, taken=JobState.STORED)


@pytest.fixture
def beside(tmp_path: Path, ledger: Ledger, listen: Callable[[Settings], House]) -> Callable[[Pacs], Beside]:
    def beside(pacs: Pacs) -> Beside:
        settings = Settings(node=Node(port=free_port(), data=tmp_path, min_free_mb=0), peers={"pacs": pacs.peer})
        node = Beside(settings, ledger, listen)
        objects = [replace(result(uid), sop_class_uid=f"1.2.840.{number}") for number, uid in enumerate(UIDS)]
        with ledger.write() as connection:
            instances.record_instance(connection, stored(), "MODALITY", node.now)
            deliveries.put(connection, STUDY, 1, objects, ["pacs"], node.now)
            for row in deliveries.claim(connection, STUDY, "pacs", node.now, 20.0):
                deliveries.record_sent(connection, row, "pacs", "", node.now, taken=JobState.STORED)
        return node

    return beside


@pytest.fixture
def looping() -> Iterator[Callable[[Beside], CommitmentScu]]:
    """The loop of a node, stopped when the test ends."""
    with ExitStack() as stack:

        def looping(node: Beside) -> CommitmentScu:
            loop = CommitmentScu(node.settings, node.ledger)
            thread = threading.Thread(target=loop.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(loop.stop)
            return loop

        yield looping


def references(*uids: str) -> tuple[Reference, ...]:
    return tuple(Reference(f"1.2.840.{UIDS.index(uid)}", uid) for uid in uids)


def make_due(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(update(JOB).values(due_at=0.0))
