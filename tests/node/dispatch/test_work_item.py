from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import Association
from sqlalchemy import null, select
from structlog.testing import capture_logs

from node.dispatch.work_item import write_reading_work_item
from node.ledger import studies
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT
from node.ledger.tables import STUDY as STUDIES
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
    with ledger.write() as connection:
        assert studies.complete(connection, row, "quiet", time.time())
        write_reading_work_item(settings.node.data, station(settings), connection, STUDY, time.time())
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
    with ledger.write() as connection:
        work_items.set_ready(connection, STUDY, time.time(), ready=False)
        write_reading_work_item(settings.node.data, station(settings), connection, STUDY, time.time())
        assert work_items.listing(connection) == (first,)  # and ready again


@damage_is_meant
def test_a_header_that_is_cut_is_read_as_far_as_it_goes(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=cut_after_uids(image(FIRST)))
    with capture_logs() as logs:
        item = work_item(ledger, settings)
    assert (item.patient_name, item.patient_id, item.ready) == (PATIENT_NAME, PATIENT_ID, True)
    assert not logs


@damage_is_meant
def test_a_value_of_a_vr_that_there_is_none_of_is_read_by_the_dictionarys(
    send: Send, ledger: Ledger, settings: Settings
) -> None:
    send(first=with_unknown_vr(image(FIRST)))
    item = work_item(ledger, settings)
    assert (item.study_instance_uid, item.patient_name, item.patient_id) == (STUDY, PATIENT_NAME, PATIENT_ID)


def test_a_study_without_a_header_has_a_bare_item(send: Send, house: House, ledger: Ledger, settings: Settings) -> None:
    """As of a version that kept none, with files that are gone."""
    send(first=image(FIRST))
    forget_header(ledger)
    house.files[0].unlink()
    item = work_item(ledger, settings)
    assert (item.study_instance_uid, item.state, item.priority, item.ready) == (STUDY, "SCHEDULED", "MEDIUM", True)
    assert (item.patient_name, item.patient_id, item.label) == ("", "", "Reading: study")


def test_a_study_from_before_headers_were_kept_gets_it_from_a_file(
    send: Send, house: House, ledger: Ledger, settings: Settings
) -> None:
    send(first=image(FIRST), second=image(SECOND))
    forget_header(ledger)
    house.files[0].unlink()
    with capture_logs() as logs:
        assert work_item(ledger, settings).patient_name == PATIENT_NAME
    assert [(log["event"], log["instance"]) for log in logs] == [("instance unreadable", FIRST)]
    assert PATIENT_NAME not in repr(logs)


def forget_header(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(STUDIES.update().values(header=null()))


def test_once_it_arrived_no_file_of_a_study_is_read_again(
    send: Send, house: House, ledger: Ledger, settings: Settings
) -> None:
    send(first=image(FIRST), second=image(SECOND))
    for file in house.files:
        file.unlink()
    assert work_item(ledger, settings).patient_name == PATIENT_NAME


def test_two_patients_under_one_study_share_no_name(send: Send, ledger: Ledger, settings: Settings) -> None:
    send(first=image(FIRST, StudyDescription="Thorax"), second=image(SECOND, PatientName="Other", PatientID="OTHER"))
    item = work_item(ledger, settings)
    assert (item.patient_name, item.patient_id, item.label) == ("", "", "Reading: CT Thorax, 2 patients")
    assert story(ledger) == ["images of 2 patients: the work item names none of them"]


def test_a_second_patient_who_arrives_later_takes_the_first_ones_name_from_the_item(
    send: Send, ledger: Ledger, settings: Settings
) -> None:
    send(first=image(FIRST))
    assert work_item(ledger, settings).patient_name == PATIENT_NAME
    send(first=image(FIRST), second=image(SECOND, PatientID="OTHER"))
    item = work_item(ledger, settings)
    assert (item.patient_name, item.patient_id, item.label) == ("", "", "Reading: CT, 2 patients")


def story(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        query = select(EVENT.c.detail).where(EVENT.c.kind == "patients differ")
        return list(connection.execute(query).scalars())
