from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pydicom import Dataset
from pynetdicom import AE, Association
from sqlalchemy import delete

from node.ledger import Ledger, sqlite_url
from node.tables import EVENT, WORK_ITEM
from node.worklist.ups import SOP_CLASSES, contexts, handlers
from tests.node.worklist.scu import NOW, STATION, STUDY

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
            found = handlers(ledger, STATION, lambda: NOW + next(ticks))
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
        connection.execute(delete(WORK_ITEM))
        connection.execute(delete(EVENT))
    return house[0]


@pytest.fixture
def scp(
    house: tuple[Ledger, Address], served: Ledger, associate: Callable[[Address], Association]
) -> Callable[[], Association]:
    """The running SCP; each call opens one more association to it."""
    return lambda: associate(house[1])
