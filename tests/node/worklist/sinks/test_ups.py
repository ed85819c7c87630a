"""The sink `ups` against an external worklist written here with pynetdicom, and against our own SCP."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush, Verification
from sqlalchemy import select

from node.errors import NotAccepted, NotTaken, SinkUnreachable
from node.ledger.engine import Ledger
from node.ledger.tables import WORK_ITEM
from node.sending.scu import Requestor
from node.settings import Peer
from node.worklist.reading.data_set import reading_uid
from node.worklist.reading.work_items import ensure_item
from node.worklist.sinks.ups import Ups
from tests.node.worklist.conftest import Address
from tests.node.worklist.scu import code
from tests.node.worklist.sinks.phantoms import NOW, STUDY, header, notice

pytestmark = pytest.mark.filterwarnings(  # pynetdicom leaves the socket of a refused connection to the collector
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
ACCESSION = "ACC1"
READING, OTHER_WORK = ("110005", "DCM", "Interpretation"), ("110001", "DCM", "Image Processing")


@dataclass
class External:
    """A worklist that shares no code with ours: it matches only the Study Instance UID, and passes over other keys."""

    items: dict[str, Dataset] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)  # what to answer instead, by operation
    asked: list[str] = field(default_factory=list)
    changes: list[Dataset] = field(default_factory=list)
    claims: bool = False  # a reader claims what was found, before it is set
    address: Address = ("", 0)

    def add(self, priority: str = "LOW", state: str = "SCHEDULED", work: tuple[str, str, str] | None = READING,
            study: str = STUDY, request: Dataset | None = None) -> Dataset:  # fmt: skip
        item = Dataset()
        item.SOPClassUID, item.SOPInstanceUID = UnifiedProcedureStepPush, generate_uid()
        item.StudyInstanceUID, item.ProcedureStepState = study, state
        item.ScheduledProcedureStepPriority = priority
        item.ScheduledWorkitemCodeSequence = [code(*work)] if work else []
        item.ReferencedRequestSequence = [request] if request else []
        self.items[item.SOPInstanceUID] = item
        return item

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append("C-FIND")
        wanted = event.identifier.get("StudyInstanceUID")
        for item in list(self.items.values()):
            if not wanted or item.StudyInstanceUID == wanted:
                yield 0xFF00, item
        for item in self.items.values():
            item.ProcedureStepState = "IN PROGRESS" if self.claims else item.ProcedureStepState
        yield self.statuses.get("C-FIND", 0x0000), None

    def set(self, event: Any) -> tuple[int, None]:
        self.asked.append("N-SET")
        item, change = self.items[event.request.RequestedSOPInstanceUID], event.modification_list
        self.changes.append(change)
        if "N-SET" in self.statuses:
            return self.statuses["N-SET"], None
        if item.ProcedureStepState != "SCHEDULED":
            return 0xC301, None
        item.update(change)
        return 0x0000, None

    def create(self, event: Any) -> tuple[int, None]:
        self.asked.append("N-CREATE")
        uid, item = event.request.AffectedSOPInstanceUID, event.attribute_list
        if uid in self.items:
            return 0x0111, None
        if "N-CREATE" in self.statuses:
            return self.statuses["N-CREATE"], None
        item.SOPInstanceUID = uid
        self.items[uid] = item
        return 0x0000, None


@pytest.fixture(scope="module")
def running() -> Iterator[External]:
    external = External()
    ae = AE("RIS")
    for sop_class in (UnifiedProcedureStepPull, UnifiedProcedureStepPush):
        ae.add_supported_context(sop_class)
    handlers: list[Any] = [
        (evt.EVT_C_FIND, external.find),
        (evt.EVT_N_SET, external.set),
        (evt.EVT_N_CREATE, external.create),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    external.address = server.server_address[:2]
    yield external
    ae.shutdown()
    gc.collect()  # here, and not in a test that the mark is not for


@pytest.fixture
def external(running: External) -> External:
    running.__init__(address=running.address)  # type: ignore[misc]
    return running


def sink(address: Address, ae_title: str = "RIS") -> Ups:
    return Ups(Requestor("READFIRST"), Peer(ae_title=ae_title, host=address[0], port=address[1]))


def tell(external: External, priority: str = "HIGH", accession: str = ACCESSION) -> str:
    order = {"placer_number": "", "filler_number": "", "accession_number": accession}
    return sink(external.address).send(notice(priority, order=order))


def test_the_studys_item_is_raised_and_nothing_else_is_said(external: External) -> None:
    item, other = external.add(), external.add(study="1.2.3")
    assert tell(external) == f"work item {item.SOPInstanceUID} set to HIGH"
    assert (item.ScheduledProcedureStepPriority, other.ScheduledProcedureStepPriority) == ("HIGH", "LOW")
    assert [[element.keyword for element in change] for change in external.changes] == [
        ["ScheduledProcedureStepPriority"]  # no Transaction UID: nobody has claimed it
    ]
    assert tell(external) == f"work item {item.SOPInstanceUID} is HIGH already"
    assert len(external.changes) == 1


def test_an_item_is_found_by_its_accession_number(external: External) -> None:
    request = Dataset()
    request.AccessionNumber = ACCESSION
    external.add(study="")  # an SCP that passes over the key answers with others' items, too
    item = external.add(study="", request=request)
    assert tell(external) == f"work item {item.SOPInstanceUID} set to HIGH"
    assert [one.ScheduledProcedureStepPriority for one in external.items.values()] == ["LOW", "HIGH"]


def test_an_item_of_another_study_with_the_same_accession_number_is_left(external: External) -> None:
    request = Dataset()
    request.AccessionNumber, request.StudyInstanceUID = ACCESSION, "1.2.3"
    external.add(study="", request=request)
    assert tell(external).startswith(f"work item {reading_uid(STUDY)} made")


def test_only_items_for_reading_are_raised_or_those_that_do_not_say(external: External) -> None:
    reading, processing = external.add(), external.add(work=OTHER_WORK)
    tell(external)
    assert (reading.ScheduledProcedureStepPriority, processing.ScheduledProcedureStepPriority) == ("HIGH", "LOW")
    external.items.pop(reading.SOPInstanceUID)
    uncoded = external.add(work=None)
    tell(external)
    assert (uncoded.ScheduledProcedureStepPriority, processing.ScheduledProcedureStepPriority) == ("HIGH", "LOW")


@pytest.mark.parametrize(
    ("priority", "state", "said"),
    [("LOW", "IN PROGRESS", "claimed by a reader"), ("LOW", "COMPLETED", "already COMPLETED"),
     ("LOW", "CANCELED", "already CANCELED"), ("HIGH", "SCHEDULED", "HIGH already")],
)  # fmt: skip
def test_what_is_claimed_final_or_as_urgent_is_not_touched(
    priority: str, state: str, said: str, external: External
) -> None:
    item = external.add(priority, state)
    assert said in tell(external)
    assert (external.changes, item.ScheduledProcedureStepPriority) == ([], priority)


def test_a_priority_is_never_lowered(external: External) -> None:
    item = external.add("HIGH")
    assert "HIGH already" in tell(external, "MEDIUM")
    assert item.ScheduledProcedureStepPriority == "HIGH"


def test_a_reader_who_claims_it_in_the_meantime_keeps_it(external: External) -> None:
    item = external.add()
    external.claims = True
    assert "a reader has claimed its work item meanwhile" in tell(external)
    assert item.ScheduledProcedureStepPriority == "LOW"


def test_where_there_is_none_one_is_made_once(external: External) -> None:
    assert tell(external) == f"work item {reading_uid(STUDY)} made, HIGH"
    (item,) = external.items.values()
    assert (item.StudyInstanceUID, item.ScheduledProcedureStepPriority) == (STUDY, "HIGH")
    assert (item.ProcedureStepState, item.TransactionUID) == ("SCHEDULED", "")
    assert item.ScheduledWorkitemCodeSequence[0].CodeValue == "110005"
    item.StudyInstanceUID, item.ReferencedRequestSequence = (
        "1.2.3",
        [],
    )
    assert tell(external) == f"work item {reading_uid(STUDY)} is there already"


@pytest.mark.parametrize(
    ("operation", "status", "error"),
    [("C-FIND", 0xA700, NotTaken), ("C-FIND", 0xC000, NotTaken), ("N-SET", 0x0110, NotTaken),
     ("N-SET", 0xC307, NotTaken), ("N-SET", 0x0106, NotAccepted), ("N-CREATE", 0x0213, NotTaken),
     ("N-CREATE", 0x0120, NotAccepted)],
)  # fmt: skip
def test_failures(operation: str, status: int, error: type[Exception], external: External) -> None:
    if operation == "N-SET":
        external.add()
    external.statuses[operation] = status
    with pytest.raises(error, match=f"0x{status:04X}"):
        tell(external)


def test_a_peer_that_is_not_there_or_offers_no_worklist() -> None:
    with pytest.raises(SinkUnreachable, match="cannot be reached"):
        sink(("127.0.0.1", free_port())).send(notice())
    ae = AE("RIS")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(NotTaken, match="accepted none"):
            sink(server.server_address[:2]).send(notice())
    finally:
        ae.shutdown()


def test_our_own_node_takes_it_too(house: tuple[Ledger, Address], served: Ledger) -> None:
    address = house[1]
    assert sink(address, "READFIRST").send(notice()) == f"work item {reading_uid(STUDY)} made, HIGH"
    with served.write() as connection:
        connection.execute(WORK_ITEM.delete())
        ensure_item(connection, header(), NOW)
    assert sink(address, "READFIRST").send(notice()) == f"work item {reading_uid(STUDY)} set to HIGH"
    with served.read() as connection:
        row = connection.execute(select(WORK_ITEM)).mappings().one()
    assert (row["priority"], row["priority_source"]) == ("HIGH", "human")


def test_the_preview_shows_both_ways() -> None:
    text = sink(("127.0.0.1", 1)).preview(notice())
    assert text.index("C-FIND") < text.index("N-SET") < text.index("N-CREATE")
    assert text.count("'HIGH'") == 2
