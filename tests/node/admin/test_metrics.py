from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import Association

from node import scp
from node.admin.metrics import Metrics
from node.admission.associations import AssociationRegistry, StoreResult
from node.admission.policy import Caller
from node.entities import JobState
from node.errors import QueueUnavailable
from node.ledger import studies, workers
from node.ledger.engine import Ledger
from node.receiving import instances
from node.receiving.c_store import Receiver
from node.receiving.store import Store
from node.sending import circuits, deliveries
from node.settings import Peer, Settings
from tests.node.conftest import House
from tests.node.phantoms import STUDY, image, result, save, stored
from tests.waiting import wait_until

CT = (CTImageStorage, ExplicitVRLittleEndian)


@pytest.fixture
def metrics(settings: Settings, ledger: Ledger) -> Metrics:
    return Metrics(settings, ledger, len)


def read(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def wait_for(metrics: Metrics, name: str, value: float) -> None:
    wait_until(lambda: read(metrics, name) == value, lambda: read(metrics, name))


def test_associations_and_instances_are_counted(
    settings: Settings, ledger: Ledger, metrics: Metrics, associate: Callable[..., Association], tmp_path: Path
) -> None:
    store = Store(settings.node.data, 0)
    store.prepare()
    associations = AssociationRegistry(settings)
    metrics.watch(associations)
    house = House(Receiver(settings, ledger, store, associations), [])
    server = scp.start(house.receiver)
    try:
        association = associate(house, CT)
        wait_for(metrics, "readfirst_associations_open", 1)
        assert association.send_c_store(save(tmp_path / "sent", image())).Status == 0
        assert associate(house, CT, calling="READER").send_c_store(save(tmp_path / "sent", image())).Status == 0x0124
        assert not associate(house, CT, calling="STRANGER").is_established
        association.release()
        wait_for(metrics, "readfirst_associations_open", 1)
    finally:
        server.ae.shutdown()
    wait_for(metrics, "readfirst_associations_open", 0)
    assert read(metrics, "readfirst_associations_rejected_total") == 1
    assert read(metrics, "readfirst_instances_total", peer="modality", status="0x0000") == 1
    assert read(metrics, "readfirst_instances_total", peer="reader", status="0x0124") == 1
    with ledger.read() as connection:
        (row,) = studies.inputs(connection, STUDY)
    assert read(metrics, "readfirst_received_bytes_total", peer="modality") == row["size"]


def test_a_peer_that_no_table_names_makes_no_label(metrics: Metrics) -> None:
    for number in range(100):
        metrics.stored(Caller("READFIRST", f"STRANGER{number}", "10.0.0.66"), StoreResult(CTImageStorage, 0, STUDY, 10))
    assert read(metrics, "readfirst_instances_total", peer="unknown") == 100
    assert b"STRANGER" not in metrics.text()


def test_what_the_ledger_says_is_asked_when_it_is_scraped(ledger: Ledger, metrics: Metrics) -> None:
    now = time.time()
    assert read(metrics, "readfirst_delivery_seconds_count", peer="pacs") is None
    with ledger.write() as connection:
        instances.record_instance(connection, stored(), "MODALITY", now - 40)
        deliveries.put(connection, STUDY, 1, [result("2.25.1"), result("2.25.2")], ["pacs"], now)
        (first, _) = deliveries.claim(connection, STUDY, "pacs", now, 10)
        deliveries.record_sent(connection, first, "pacs", "", now + 2)
    assert read(metrics, "readfirst_studies", state="receiving") == 1
    assert read(metrics, "readfirst_outbox", state=JobState.PENDING) == 1
    assert read(metrics, "readfirst_outbox", state=JobState.DELIVERED) == 1
    assert read(metrics, "readfirst_outbox", state=JobState.REJECTED) == 0
    for _ in range(2):  # a second scrape observes nothing twice
        assert read(metrics, "readfirst_delivery_seconds_count", peer="pacs") == 1
        assert read(metrics, "readfirst_delivery_seconds_sum", peer="pacs") == pytest.approx(42)
        assert read(metrics, "readfirst_delivery_seconds_bucket", peer="pacs", le="60.0") == 1
        assert read(metrics, "readfirst_delivery_seconds_bucket", peer="pacs", le="30.0") == 0
    assert (read(metrics, "readfirst_disk_free_bytes") or 0) > 0
    assert read(metrics, "readfirst_queue", queue="analyze") == len("readfirst.analyze")
    assert STUDY.encode() not in metrics.text()


def test_without_a_queue_the_others_are_told(settings: Settings, ledger: Ledger) -> None:
    def gone(_task: str) -> int:
        raise QueueUnavailable("Redis cannot be reached")

    metrics = Metrics(settings, ledger, gone)
    value = read(metrics, "readfirst_queue", queue="deliver")
    assert value is not None
    assert value != value  # NaN
    assert read(metrics, "readfirst_disk_free_bytes") is not None


def test_workers_and_failing_receivers_are_counted(settings: Settings, ledger: Ledger) -> None:
    peers = {"pacs": Peer(ae_title="PACS", host="127.0.0.1", receive=("results",))}
    metrics = Metrics(settings.model_copy(update={"peers": peers}), ledger, len)
    now = time.time()
    assert read(metrics, "readfirst_workers", readiness="ready") == 0
    assert read(metrics, "readfirst_receiver_failing", peer="pacs") == 0
    with ledger.write() as connection:
        workers.beat(connection, "here:1", now, ready=True, reason="")
        workers.beat(connection, "here:2", now, ready=False, reason="no GPU")
        workers.beat(connection, "here:3", now - 300, ready=False, reason="it loads its model packages")
        for uid in ("1.1", "1.2", "1.3"):
            circuits.record_failure(connection, "pacs", uid, "it does not answer", now)
    assert [read(metrics, "readfirst_workers", readiness=one) for one in ("ready", "not ready", "gone")] == [1, 1, 1]
    assert read(metrics, "readfirst_receiver_failing", peer="pacs") == 1
