from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, Association, evt
from pynetdicom.sop_class import UnifiedProcedureStepEvent
from sqlalchemy import delete

from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import EVENT, GLOBAL_SUBSCRIPTION, JOB, SUBSCRIPTION, WORK_ITEM
from node.settings import Peer, Settings
from node.worklist.ups.event_sender import EventSender
from node.worklist.ups.scp import SOP_CLASSES, contexts, handlers
from tests.node.worklist.scu import NOW, STATION, STUDY, WATCHING

Address = tuple[str, int]


@pytest.fixture
def header() -> Dataset:
    header = Dataset()
    header.StudyInstanceUID = STUDY
    header.PatientName = "Müller^Änne"
    header.PatientID = "4711"
    header.PatientBirthDate = "19600229"
    header.PatientSex = "F"
    header.AccessionNumber = "ACC1"
    header.Modality = "CR"
    header.StudyDescription = "Thorax p.a."
    return header


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[Ledger], Address]]:
    """Start an SCP on a ledger and tell its address; it ends with the module (pynetdicom takes half a second)."""
    with ExitStack() as stack:

        def start(ledger: Ledger) -> Address:
            ticks = itertools.count()
            ae = AE("READFIRST")
            ae.supported_contexts = contexts()
            found = handlers(ledger, STATION, WATCHING, lambda: NOW + next(ticks))
            server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=found)
            stack.callback(ae.shutdown)
            host, port = server.server_address[:2]
            return str(host), int(port)

        yield start


@pytest.fixture
def associate() -> Iterator[Callable[[Address], Association]]:
    """Open associations that are released when the test ends."""
    with ExitStack() as stack:

        def associate(address: Address) -> Association:
            scu = AE("READER")
            for sop_class in SOP_CLASSES:
                scu.add_requested_context(sop_class)
            association = scu.associate(*address, ae_title="READFIRST")
            assert association.is_established
            stack.callback(association.release)
            return association

        yield associate


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, start: Callable[[Ledger], Address]
) -> Iterator[tuple[Ledger, Address]]:
    ledger = Ledger(sqlite_url(tmp_path_factory.mktemp("ups")))
    ledger.migrate()
    yield ledger, start(ledger)
    ledger.close()


@pytest.fixture
def served(house: tuple[Ledger, Address]) -> Ledger:
    """The running SCP's ledger, emptied."""
    with house[0].write() as connection:
        for table in (JOB, GLOBAL_SUBSCRIPTION, SUBSCRIPTION, WORK_ITEM, EVENT):
            connection.execute(delete(table))
    return house[0]


@dataclass
class Monitor:
    """A subscriber's event SCP: what it was told, and what it answers."""

    port: int = 0
    told: list[tuple[int, str, Dataset]] = field(default_factory=list)
    calling: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses of the next answers; then Success
    heard: threading.Condition = field(default_factory=threading.Condition)
    silent: threading.Event = field(default_factory=threading.Event)  # cleared: it does not answer

    @property
    def types(self) -> list[int]:
        return [event_type for event_type, _, _ in self.told]

    def on_event(self, event: Any) -> tuple[int, None]:
        with self.heard:
            status = self.answers.pop(0) if self.answers else 0x0000
            self.calling.append(event.assoc.requestor.ae_title)
            self.told.append((event.event_type, event.request.AffectedSOPInstanceUID, event.event_information))
            self.heard.notify_all()
        self.silent.wait(30)
        return status, None

    def wait_for(self, number: int, seconds: float = 10.0) -> list[tuple[int, str, Dataset]]:
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.told) >= number, seconds), self.types
        return self.told


@pytest.fixture(scope="module")
def listening() -> Iterator[Monitor]:
    monitor, ae = Monitor(), AE("READER")
    ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
    found: list[Any] = [(evt.EVT_N_EVENT_REPORT, monitor.on_event)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=found)
    monitor.port = int(server.server_address[1])
    yield monitor
    ae.shutdown()


@pytest.fixture
def monitor(listening: Monitor) -> Monitor:
    """A running event SCP called READER, which was told nothing yet."""
    listening.silent.set()
    for heard in (listening.told, listening.calling, listening.answers):
        heard.clear()
    return listening


@pytest.fixture
def notifier(served: Ledger, monitor: Monitor) -> EventSender:
    """What sends the served ledger's events; not running: tests call `serve`."""
    peers = {
        "reader": Peer(ae_title="READER", host="127.0.0.1", port=monitor.port),
        "gone": Peer(ae_title="MONITOR", host="127.0.0.1", port=1),
    }
    return EventSender(Settings(peers=peers), served, lambda: NOW + 1000)


@pytest.fixture
def run_thread() -> Iterator[Callable[[Callable[[], None], Callable[[], None]], None]]:
    """Run a loop in a thread until the test ends."""
    with ExitStack() as stack:

        def run(loop: Callable[[], None], stop: Callable[[], None]) -> None:
            thread = threading.Thread(target=loop)
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop)

        yield run


@pytest.fixture
def scp(
    house: tuple[Ledger, Address], served: Ledger, associate: Callable[[Address], Association]
) -> Callable[[], Association]:
    """The running SCP; each call opens one more association to it."""
    return lambda: associate(house[1])
