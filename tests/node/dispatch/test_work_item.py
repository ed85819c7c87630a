from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import Association
from structlog.testing import capture_logs

from node.dispatch.work_item import reading_work_item
from node.ledger import studies
from node.ledger.engine import Ledger
from node.scp import station
from node.settings import Settings
from node.worklist.items.priority import Priority
from node.worklist.orders import orders
from node.worklist.orders.orders import Order
from node.worklist.reading import work_items
from tests.node.conftest import House
from tests.node.damaged import cut_after_uids, with_unknown_vr
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME, STUDY, image, save

CT = (CTImageStorage, ExplicitVRLittleEndian)
FIRST, SECOND = "1.2.826.0.1.3680043.9.1.1.1", "1.2.826.0.1.3680043.9.1.1.2"  # the ledger gives them in this order
damage_is_meant = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
Send = Callable[..., None]


@pytest.fixture
def send(house: House, associate: Callable[..., Association], tmp_path: Path) -> Send:
    """Bring instances over an association; each is answered with Success, whatever is behind its UIDs."""

    def send(**instances: Dataset | bytes) -> None:
        association = associate(house, CT)
        for uid, dataset in ((FIRST, instances["first"]), (SECOND, instances.get("second"))):
            if dataset is not None:
                path = save(tmp_path / "sent", dataset, sop_instance_uid=uid)
                assert association.send_c_store(path).Status == 0x0000

    return send


def work_item(ledger: Ledger, settings: Settings) -> work_items.Row:
    """The study's work item, made as the node's round makes it when the study is complete."""
    with ledger.read() as connection:
        (row,) = studies.receiving(connection)
    write = reading_work_item(settings, ledger, station(settings), row)
    with ledger.write() as connection:
        assert studies.complete(connection, row, "quiet", time.time())
        write(connection)
        (item,) = work_items.listing(connection)
    return item


def test_a_complete_study_stands_in_the_worklist(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=image(FIRST, StudyDescription="Thorax", AccessionNumber="A1"))
    item = work_item(ledger, settings)
    assert (item.study_instance_uid, item.state, item.priority) == (STUDY, "SCHEDULED", "MEDIUM")
    assert (item.patient_name, item.patient_id, item.accession_number) == (PATIENT_NAME, PATIENT_ID, "A1")
    assert (item.label, item.ready) == ("Reading: CT Thorax", True)


def test_a_study_that_was_ordered_urgently_stands_first_before_it_is_analysed(
    send: Send, ledger: Ledger, settings: Settings
) -> None:
    order = Order("P1", "F1", "A1", "", Priority.HIGH, "S", canceled=False, sender="RIS", control_id="M1")
    with ledger.write() as connection:
        orders.record(connection, order, time.time())
    send(first=image(FIRST, AccessionNumber="A1"))
    item = work_item(ledger, settings)
    assert (item.priority, item.source, item.reason) == ("HIGH", "human", "HIGH: ordered as S")


def test_a_study_that_is_complete_again_keeps_its_one_item(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=image(FIRST))
    first = work_item(ledger, settings)
    with ledger.read() as connection:
        (row,) = connection.execute(studies.STUDY.select()).mappings()
    write = reading_work_item(settings, ledger, station(settings), row)
    with ledger.write() as connection:
        work_items.set_ready(connection, STUDY, time.time(), ready=False)
        write(connection)
        assert work_items.listing(connection) == (first,)  # and ready again


@damage_is_meant
def test_a_study_whose_first_instance_is_cut_gets_its_item_from_another(
    send: Send, ledger: Ledger, settings: Settings
) -> None:
    send(first=cut_after_uids(image(FIRST)), second=image(SECOND))
    with capture_logs() as logs:
        item = work_item(ledger, settings)
    assert (item.patient_name, item.patient_id, item.ready) == (PATIENT_NAME, PATIENT_ID, True)
    assert [(log["event"], log["instance"]) for log in logs] == [("instance unreadable", FIRST)]
    assert PATIENT_NAME not in repr(logs)


@damage_is_meant
def test_a_value_that_nobody_can_read_is_left_out_of_the_item(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=with_unknown_vr(image(FIRST)))
    item = work_item(ledger, settings)
    assert (item.study_instance_uid, item.patient_name, item.patient_id) == (STUDY, PATIENT_NAME, "")


@damage_is_meant
def test_a_study_of_which_nothing_can_be_read_has_a_bare_item(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=cut_after_uids(image(FIRST)), second=cut_after_uids(image(SECOND)))
    item = work_item(ledger, settings)
    assert (item.study_instance_uid, item.state, item.priority, item.ready) == (STUDY, "SCHEDULED", "MEDIUM", True)
    assert (item.patient_name, item.patient_id, item.label) == ("", "", "Reading: study")


def test_files_that_are_gone_do_not_keep_the_study_from_the_worklist(
    send: Send, house: House, ledger: Ledger, settings: Settings
) -> None:
    send(first=image(FIRST), second=image(SECOND))
    house.files[0].unlink()
    assert work_item(ledger, settings).patient_name == PATIENT_NAME
