"""Storage commitment with Orthanc, which asks and reports over associations of its own, in both roles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pacs import Orthanc
from ports import free_port
from pydicom.uid import CTImageStorage
from sqlalchemy import select

from node.commitment import committing
from node.entities import JobState
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT
from node.receiving import instances
from node.sending import deliveries, scu
from node.sending.deliveries import DELIVERY
from node.sending.scu import Requestor
from node.settings import Node, Peer, Settings
from tests.conftest import need
from tests.node.conftest import House
from tests.node.phantoms import SERIES, STUDY, image, result, save, stored
from tests.waiting import wait_until

UIDS = ("1.2.826.1", "1.2.826.2")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(node=Node(port=free_port(), data=tmp_path / "data", min_free_mb=0))


@pytest.fixture
def orthanc(tmp_path: Path, settings: Settings) -> Iterator[Orthanc]:
    need("Orthanc", "orthanc")
    with Orthanc(tmp_path / "pacs", {"readfirst": ("READFIRST", "127.0.0.1", settings.node.port)}) as running:
        yield running


@pytest.fixture
def beside(
    settings: Settings, orthanc: Orthanc, ledger: Ledger, listen: Callable[[Settings], House]
) -> Iterator[Settings]:
    """A node beside the Orthanc; it asks and tells."""
    peer = Peer(ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port, send=("images",), receive=("results",),
                query=True)  # fmt: skip
    settings = settings.model_copy(update={"peers": {"pacs": peer}})
    listen(settings)
    with ExitStack() as stack:
        stack.enter_context(committing(settings, ledger))
        yield settings


def send(settings: Settings, *paths: Path) -> None:
    outcomes = scu.store(Requestor("READFIRST"), settings.peers["pacs"], paths)
    assert [outcome.error for outcome in outcomes] == [""] * len(paths)


def take(ledger: Ledger) -> None:
    """What the worker writes down when the peer took our two objects."""
    objects = [replace(result(uid), sop_class_uid=CTImageStorage, series_instance_uid=SERIES) for uid in UIDS]
    now = time.time()
    with ledger.write() as connection:
        instances.record_instance(connection, stored(), "MODALITY", now)
        deliveries.put(connection, STUDY, 1, objects, ["pacs"], now)
        for row in deliveries.claim(connection, STUDY, "pacs", now, 20.0):
            deliveries.record_sent(connection, row, "pacs", "", now, taken=JobState.STORED)


def rows(ledger: Ledger) -> list[Any]:
    with ledger.read() as connection:
        return list(connection.execute(select(DELIVERY).order_by(DELIVERY.c.id)))


def story(ledger: Ledger, kind: str) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(EVENT.c.detail).where(EVENT.c.kind == kind)).scalars())


def test_orthanc_commits_to_what_it_has(beside: Settings, orthanc: Orthanc, ledger: Ledger, tmp_path: Path) -> None:
    send(beside, *(save(tmp_path / f"{uid}.dcm", image(uid)) for uid in UIDS))
    take(ledger)
    wait_until(lambda: [row.state for row in rows(ledger)] == ["delivered"] * 2)
    assert story(ledger, "delivered") == ["2 objects to pacs, which committed to them: statement, statement"]


def test_orthanc_names_what_it_lost_and_that_is_due_again(
    beside: Settings, orthanc: Orthanc, ledger: Ledger, tmp_path: Path
) -> None:
    send(beside, save(tmp_path / "one.dcm", image(UIDS[0])))
    take(ledger)
    wait_until(lambda: [row.state for row in rows(ledger)] == ["delivered", "pending"])
    assert rows(ledger)[1].last_error == "the peer does not commit to it: no such object instance (0x0112)"


def test_orthanc_asks_what_we_have(beside: Settings, orthanc: Orthanc, ledger: Ledger, tmp_path: Path) -> None:
    send(beside, *(save(tmp_path / f"{uid}.dcm", image(uid)) for uid in UIDS))
    (series,) = orthanc.rest("/series")
    job = orthanc.rest("/modalities/readfirst/store", {"Resources": [series], "StorageCommitment": True})
    transaction = job["StorageCommitmentTransactionUID"]
    wait_until(lambda: orthanc.rest(f"/storage-commitment/{transaction}")["Status"] != "Pending")
    report = orthanc.rest(f"/storage-commitment/{transaction}")
    assert report["Status"] == "Success"
    assert sorted(one["SOPInstanceUID"] for one in report["Success"]) == list(UIDS)

    asked = {"DicomInstances": [{"SOPClassUID": CTImageStorage, "SOPInstanceUID": uid} for uid in (*UIDS, "1.2.404")]}
    path = orthanc.rest("/modalities/readfirst/storage-commitment", asked)["Path"]
    wait_until(lambda: orthanc.rest(path)["Status"] != "Pending")
    report = orthanc.rest(path)
    assert (report["Status"], len(report["Success"])) == ("Failure", 2)
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in report["Failures"]] == [("1.2.404", 0x0112)], (
        report
    )
