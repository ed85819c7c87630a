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


@pytest.fixture
def scp(ledger: Ledger) -> Iterator[Callable[[], Association]]:
    """A running SCP; each call opens one more association to it."""
    ticks = itertools.count()
    ae = AE("READFIRST")
    ae.supported_contexts = contexts()
    with ExitStack() as stack:
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=handlers(ledger, STATION, lambda: NOW + next(ticks))
        )
        stack.callback(ae.shutdown)

        def associate() -> Association:
            scu = AE("READER")
            for sop_class in SOP_CLASSES:
                scu.add_requested_context(sop_class)
            association = scu.associate(*server.server_address[:2], ae_title="READFIRST")
            assert association.is_established
            stack.callback(association.release)
            return association

        yield associate
