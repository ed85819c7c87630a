"""A PACS that routes our own results back to us, over a real association: they are kept, and never analysed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)
from pynetdicom import Association
from sqlalchemy import select

from node.admin.study_view import study_view
from node.dicom.headers import read_header
from node.ledger.engine import Ledger
from node.ledger.tables import RESULT
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Peer, Settings
from tests.node.conftest import House
from tests.workers.study_phantoms import STUDY, TinyModel, radiograph
from tests.workers.test_analyze import Analyze, analyzer, complete, study
from workers.results.registry import kinds

__all__ = ["analyzer"]
ALSO = ("presentation-state", "key-objects", "report-text", "report-pdf")
CONTEXTS = [
    (uid, ExplicitVRLittleEndian)
    for uid in (
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        *dict.fromkeys(kind.sop_class_uid for kind in kinds().values()),
    )
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A PACS that gets every kind that there can be of a radiograph, and a modality."""
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", send=("images",))
    pacs = Peer(ae_title="PACS", host="127.0.0.1", receive=("results",), also=ALSO)
    return settings.model_copy(update={"peers": {"pacs": pacs, "modality": modality}})


def made(ledger: Ledger, data: Path) -> dict[str, Path]:
    """Kind to file of what was made."""
    with ledger.read() as connection:
        return {row.kind: data / row.path for row in connection.execute(select(RESULT.c.kind, RESULT.c.path))}


def told(ledger: Ledger) -> dict[str, object]:
    with ledger.read() as connection:
        story = study_view(connection, STUDY).as_json()
    assert story is not None
    return story


def test_results_that_come_back_open_nothing(
    analyzer: Analyze, house: House, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "sent").mkdir()
    image = radiograph(tmp_path / "sent")
    association = associate(house, *CONTEXTS)
    assert association.send_c_store(image).Status == 0x0000
    complete(ledger, read_header(image))
    analyzer(TinyModel()).run(STUDY, 1)
    files = made(ledger, tmp_path)
    assert set(files) == set(kinds()) - {"saliency-map"}
    before = told(ledger)
    for path in files.values():
        assert association.send_c_store(path).Status == 0x0000
    after = told(ledger)
    assert after["state"] == "analysed"
    assert after["generation"] == before["generation"] == 1
    assert (after["instances"], after["events"]) == (1, before["events"])


def test_to_a_node_that_never_made_them_they_are_no_input_either(
    analyzer: Analyze, house: House, associate: Callable[..., Association], ledger: Ledger, tmp_path: Path
) -> None:
    """Told by their maker alone, even where one pretends to be a radiograph; and the re-run sends nothing again."""
    (tmp_path / "sent").mkdir()
    image = radiograph(tmp_path / "sent")
    association = associate(house, *CONTEXTS)
    assert association.send_c_store(image).Status == 0x0000
    complete(ledger, read_header(image))
    worker = analyzer(TinyModel())
    worker.run(STUDY, 1)
    with ledger.write() as connection:
        for row in deliveries.claim(connection, STUDY, "pacs", time.time(), 20.0):
            deliveries.record_sent(connection, row, "pacs", "", time.time())
    first = {kind: path.read_bytes() for kind, path in made(ledger, tmp_path).items()}

    foreign = [renamed(path, f"2.25.7{number}") for number, path in enumerate(made(ledger, tmp_path).values())]
    disguised = renamed(image, "2.25.99")
    disguised.Manufacturer = "ReadFirst"
    disguised.SOPClassUID = disguised.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    disguised.Modality = "CR"
    for dataset in (*foreign, disguised):
        assert association.send_c_store(dataset).Status == 0x0000
    assert study(ledger)[0] == "receiving"  # nobody knows yet what they are: a generation looks at them
    complete(ledger, read_header(image))
    worker.run(STUDY, 2)

    story = told(ledger)
    assert story["state"] == "analysed"
    left_out = [event["detail"] for event in story["events"] if event["kind"] == "left out"]  # type: ignore[attr-defined]
    assert left_out == [f"{len(foreign) + 1} instances: our own result"]
    with ledger.read() as connection:
        waiting = connection.execute(select(DELIVERY.c.id).where(DELIVERY.c.state == "pending")).all()
    assert waiting == []  # no document tells of them: between two nodes that would never end
    assert {kind: path.read_bytes() for kind, path in made(ledger, tmp_path).items()} == first


def renamed(path: Path, uid: str) -> Dataset:
    """The same content as an instance that no ledger knows."""
    dataset = dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    return dataset
