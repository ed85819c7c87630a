"""Deliveries to several peers at once, most of which hang: the healthy one has its results in its usual time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import free_port
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from sqlalchemy import func, select

from node.entities import JobState
from node.ledger.engine import Ledger
from node.receiving import instances
from node.sending import circuits, deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Limits, Peer, Settings
from tests.node import phantoms
from tests.node.phantoms import image, part10
from tests.node.phantoms import result as known_result
from tests.node.slow_peers import crawls, dribbles, hanging, never_answers
from tests.waiting import wait_until
from workers.delivery.deliver import Deliverer

STUDIES = [f"1.2.{number}" for number in range(5)]
PEERS = ("crawls", "dribbles", "never answers", "refuses", "healthy")
SECONDS = 1.5  # that an association may take

pytestmark = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def peers() -> Iterator[dict[str, Peer]]:
    """One of each kind."""
    with ExitStack() as stack:
        ae = AE("PACS")
        for uid in (SegmentationStorage, Comprehensive3DSRStorage):
            ae.add_supported_context(uid, ExplicitVRLittleEndian)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0)])
        stack.callback(ae.shutdown)
        found = {
            name: stack.enter_context(hanging(how))
            for name, how in zip(PEERS[:3], (crawls, dribbles, never_answers), strict=True)
        }
        found["refuses"] = Peer(ae_title="NOBODY", host="127.0.0.1", port=free_port(), receive=("results",))
        port = server.server_address[1]
        found["healthy"] = Peer(ae_title="PACS", host="127.0.0.1", port=port, receive=("results",))
        yield found


@pytest.fixture
def due(ledger: Ledger, tmp_path: Path) -> Ledger:
    """One object of each study is due for each peer."""
    (tmp_path / "results").mkdir()
    with ledger.write() as connection:
        for number, study in enumerate(STUDIES):
            stored = phantoms.stored(f"1.9.{number}", study_instance_uid=study)
            instances.record_instance(connection, stored, "MODALITY", time.time())
            result = known_result(f"2.25.{number}")
            dataset = phantoms.encoded(image(result.sop_instance_uid, SOPClassUID=result.sop_class_uid))
            file = part10(dataset, sop_instance_uid=result.sop_instance_uid, sop_class_uid=result.sop_class_uid)
            (tmp_path / result.path).write_bytes(file)
            deliveries.put(connection, study, 1, [result], PEERS, time.time())
    return ledger


def states(ledger: Ledger, peer: str) -> dict[str, int]:
    query = select(DELIVERY.c.state, func.count()).where(DELIVERY.c.peer == peer).group_by(DELIVERY.c.state)
    with ledger.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def delivered(ledger: Ledger) -> bool:
    return states(ledger, "healthy") == {JobState.DELIVERED: len(STUDIES)}


def test_a_healthy_peer_has_its_results_while_all_others_hang(
    due: Ledger, settings: Settings, peers: dict[str, Peer]
) -> None:
    limits = Limits(requested_minutes=SECONDS / 60)
    deliverer = Deliverer(settings.model_copy(update={"peers": peers, "limits": limits}))
    try:
        for study in STUDIES:
            for peer in PEERS:
                deliverer.notify(study, peer)
        wait_until(lambda: delivered(due), seconds=SECONDS)
        troubled = [peer for peer in PEERS if peer != "healthy"]

        def all_wait() -> bool:
            with due.read() as connection:
                return {row["lane"] for row in circuits.open_circuits(connection)} == set(troubled)

        wait_until(all_wait, seconds=10 * SECONDS)  # three studies each, then its circuit is open
        wait_until(lambda: not deliverer.lanes._again)
        for peer in troubled:
            assert states(due, peer) == {JobState.PENDING: len(STUDIES)}
            with due.read() as connection:
                attempts = select(func.max(DELIVERY.c.attempts), func.sum(DELIVERY.c.attempts))
                assert tuple(connection.execute(attempts.where(DELIVERY.c.peer == peer)).one()) == (1, 3)
    finally:
        deliverer.close()
        deliverer.ledger.close()


def test_a_peer_that_answers_again_gets_all_that_waited(
    due: Ledger, settings: Settings, peers: dict[str, Peer], tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"peers": {"refuses": peers["refuses"]}})
    broken, mended = (
        Deliverer(settings),
        Deliverer(settings.model_copy(update={"peers": {"refuses": peers["healthy"]}})),
    )
    broken.serve("refuses")
    with due.write() as connection:
        assert [row["failures"] for row in circuits.open_circuits(connection)] == [3]
        circuits.probe_now(connection, STUDIES[4], time.time())
    mended.serve("refuses")
    assert states(due, "refuses") == {JobState.DELIVERED: len(STUDIES)}
    for one in (broken, mended):
        one.close()
        one.ledger.close()
