"""Real files and rows of studies at known times, and a PACS that shows what the test lets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from sqlalchemy import select

from node.audit import Recorder
from node.entities import AnalysisReport, InstanceKey, JobKind, Picture, ResultObject, StudyState
from node.ledger import jobs, studies
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE, JOB, STUDY
from node.receiving import instances
from node.receiving.store import Store
from node.retention.deleting import Deleted
from node.retention.retention import Retention
from node.sending import deliveries
from node.settings import Node, Peer, Settings
from node.settings import Retention as Keys
from tests.node.conftest import ledger
from tests.node.phantoms import PATIENT_ID, claim, encoded, image, part10
from tests.node.phantoms import STUDY as UID

__all__ = ["ledger"]
DAY, NOW = 86400.0, 1_800_000_000.0
PLENTY = 1 << 50  # bytes


@dataclass
class Pacs:
    """It shows these instances to C-FIND at level IMAGE."""

    port: int = field(default_factory=free_port)
    shows: set[str] = field(default_factory=set)
    asked: int = 0

    def on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.asked += 1
        for uid in sorted(self.shows):
            match = Dataset()
            match.SOPInstanceUID = uid
            yield 0xFF00, match
        yield 0x0000, None


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs, ae = Pacs(), AE("PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", pacs.port), block=False, evt_handlers=[(evt.EVT_C_FIND, pacs.on_find)])
    yield pacs
    server.shutdown()


@dataclass
class Site:
    """A data folder and its ledger."""

    settings: Settings
    ledger: Ledger
    now: float = NOW
    free: int = PLENTY
    deleted: list[Deleted] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.settings.node.data

    def set(self, **keys: object) -> None:
        """Keys of [retention]."""
        self.settings = self.settings.model_copy(update={"retention": Keys.model_validate({"enabled": True} | keys)})

    @property
    def retention(self) -> Retention:
        audit = Recorder(self.settings, self.ledger, lambda: self.now)
        return Retention(self.settings, self.ledger, audit, self.deleted.append, lambda: self.now, lambda: self.free)

    def arrive(self, number: int = 1, uid: str = UID, at: float = NOW, content: bytes = b"") -> Path:
        """One instance as C-STORE keeps it."""
        name = f"{uid}.{number}"
        data_set = encoded(image(name, StudyInstanceUID=uid)) + content
        store = Store(self.data, 0)
        store.prepare()
        with closing(store.begin(part10(b"", sop_instance_uid=name))) as incoming:
            incoming.write(memoryview(data_set))
            key = InstanceKey(uid, f"{uid}.9", name, image().SOPClassUID, PATIENT_ID)
            stored = incoming.keep(key, ExplicitVRLittleEndian)
            with self.ledger.write() as connection:
                instances.record_instance(connection, incoming.kept(stored), "MODALITY", at)
        return self.data / stored.path

    def analyse(
        self, uid: str = UID, at: float = NOW, state: StudyState = StudyState.ANALYSED, waits: bool = False
    ) -> None:
        """Its analysis ends, and its one object is delivered unless it `waits`."""
        (self.data / "results" / uid).mkdir(parents=True, exist_ok=True)
        (self.data / "pictures" / uid).mkdir(parents=True, exist_ok=True)
        (self.data / "results" / uid / "2.25.1.dcm").write_bytes(b"result")
        (self.data / "pictures" / uid / "a.png").write_bytes(b"picture")
        made = ResultObject(f"{uid}.77", "1.2.3", "2.25.9", "chest-xray", "statement", f"results/{uid}/2.25.1.dcm")
        picture = Picture("chest-xray", "1.2", "", "caption", "", f"pictures/{uid}/a.png")
        with self.ledger.write() as connection:
            query = select(STUDY.c.generation).where(STUDY.c.study_instance_uid == uid)
            generation = int(connection.execute(query).scalar_one())
            claim(connection, uid, generation, at)
            report = AnalysisReport(state, results=(made,), pictures=(picture,))
            assert studies.finish(connection, uid, generation, report, at)
            deliveries.put(connection, uid, 1, (made,), ("pacs",), at)
            if not waits:
                for row in deliveries.claim(connection, uid, "pacs", at):
                    deliveries.record_sent(connection, row, "pacs", "", at)

    def study(self, uid: str = UID) -> Any:
        with self.ledger.read() as connection:
            return connection.execute(select(STUDY).where(STUDY.c.study_instance_uid == uid)).mappings().first()

    def count(self, table: Any) -> int:
        with self.ledger.read() as connection:
            return len(connection.execute(select(table)).all())

    def images(self, uid: str = UID) -> int:
        """Files, of which each has its row."""
        files = {str(path.relative_to(self.data)) for path in (self.data / "instances" / uid).rglob("*.dcm")}
        with self.ledger.read() as connection:
            query = select(INSTANCE.c.path).where(INSTANCE.c.study_instance_uid == uid)
            assert set(connection.execute(query).scalars()) == files
        return len(files)

    def messages(self) -> list[str]:
        with self.ledger.read() as connection:
            rows = jobs.find(connection, JOB.c.kind == JobKind.AUDIT_MESSAGE)
        return [row["payload"]["message"] for row in rows]


@pytest.fixture
def site(tmp_path: Path, ledger: Ledger) -> Site:
    peers = {"pacs": Peer(ae_title="PACS", host="127.0.0.1", receive=("results",))}
    node = Node(port=free_port(), data=tmp_path, min_free_mb=0)
    return Site(Settings(node=node, peers=peers, retention=Keys(enabled=True)), ledger)


@pytest.fixture
def beside(site: Site, pacs: Pacs) -> Site:
    """The same beside a PACS that can be asked."""
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, receive=("results",), query=True)
    site.settings = site.settings.model_copy(update={"peers": {"pacs": peer}})
    return site
