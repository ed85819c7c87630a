from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE, Association

from node.ledger import Ledger, sqlite_url
from node.worklist.ups import SOP_CLASSES, contexts, handlers
from tests.node.worklist.scu import NOW, STATION, STUDY


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.migrate()
    yield ledger
    ledger.close()


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
def start() -> Iterator[Callable[[Ledger], tuple[str, int]]]:
    """Start an SCP on a ledger and tell its address; it ends with the module (pynetdicom takes half a second)."""
    with ExitStack() as stack:

        def start(ledger: Ledger) -> tuple[str, int]:
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
def associate() -> Iterator[Callable[[tuple[str, int]], Association]]:
    """Open associations that are released when the test ends."""
    with ExitStack() as stack:

        def associate(address: tuple[str, int]) -> Association:
            scu = AE("READER")
            for sop_class in SOP_CLASSES:
                scu.add_requested_context(sop_class)
            association = scu.associate(*address, ae_title="READFIRST")
            assert association.is_established
            stack.callback(association.release)
            return association

        yield associate
