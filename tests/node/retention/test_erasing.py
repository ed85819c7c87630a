"""The commands of an administrator, on real files and a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import insert, select

from node.admin import retention_commands
from node.admin.retention_commands import Target
from node.admin.retry import retry
from node.admin.study_view import study_view
from node.dispatch.work_item import write_reading_work_item
from node.errors import ReadFirstError
from node.ledger import studies
from node.ledger.engine import SQLITE
from node.ledger.tables import IMAGING_ORDER, JOB, METADATA
from node.reports.reading import ReceivedReport
from node.reports.store import ReportStore
from node.worklist.reading.data_set import header_values
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME
from tests.node.phantoms import STUDY as UID
from tests.node.retention.conftest import DAY, NOW, Site
from tests.node.worklist.scu import STATION
from tests.system.needles import leaks

OTHER = "1.2.826.0.1.3680043.9.2"
ACCESSION = "ACC0815SECRET"


@pytest.fixture
def config(site: Site, tmp_path: Path) -> Path:
    """The site's settings as a file, and a study of the patient in it, with work item, order and report."""
    file = tmp_path / "readfirst.toml"
    file.write_text(f'[node]\ndata = "{site.data}"\nmin_free_mb = 0\n[audit]\nsinks = ["file"]\n')
    site.arrive(1, at=NOW - 100 * DAY)
    site.arrive(2, at=NOW - 100 * DAY)
    header = Dataset()
    header.PatientName, header.PatientID, header.AccessionNumber = PATIENT_NAME, PATIENT_ID, ACCESSION
    with site.ledger.write() as connection:
        studies.set_header(connection, UID, header_values(header))
        write_reading_work_item(site.data, STATION, connection, UID, NOW)
        connection.execute(
            insert(IMAGING_ORDER).values(
                placer_number="P1", filler_number="", accession_number=ACCESSION, study_instance_uid="",
                priority="HIGH", ordered_as="S", canceled=False, sender="", control_id="", received_at=NOW,
                updated_at=NOW,
            )
        )  # fmt: skip
    report = ReceivedReport(ACCESSION, "", f"{PATIENT_ID}^H", "final", "2026", "no finding", ("Secret",), (PATIENT_ID,))
    ReportStore(site.data / "reports").keep(report)
    return file


def left(site: Site) -> set[str]:
    """Names of tables that have a row which is not of another study."""
    with site.ledger.read() as connection:
        tables = [table for table in METADATA.sorted_tables if table.name not in ("job", "audited")]
        return {table.name for table in tables if connection.execute(select(table)).first()}


def test_a_patient_is_forgotten_with_all_that_names_him(
    site: Site, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.analyse()
    retention_commands.forget(config, Target(None, PATIENT_ID, dry_run=True))
    assert "nothing was deleted" in capsys.readouterr().out
    assert site.images() == 2
    retention_commands.forget(config, Target(None, PATIENT_ID))
    assert "forgotten: 1 study, 2 other entries (work items, orders)" in capsys.readouterr().out
    assert left(site) == set()
    files = [path for path in site.data.rglob("*") if path.is_file() and path.name.startswith(SQLITE)]
    assert len(files) >= 1
    with site.ledger.write() as connection:
        messages = [row.payload["message"] for row in connection.execute(select(JOB))]
        connection.execute(JOB.delete())
    assert sum("110105" in one and PATIENT_ID in one for one in messages) == 1
    retention_commands.scrub(site.ledger)
    kept = b"".join(path.read_bytes() for path in site.data.rglob("*") if path.is_file() and path != config)
    for needle in (PATIENT_ID, "Secret", ACCESSION):
        assert not leaks(needle, kept)
    retention_commands.forget(config, Target(None, PATIENT_ID))  # twice is harmless


def test_another_patient_stays(site: Site, config: Path) -> None:
    site.analyse()
    site.arrive(5, OTHER)
    site.analyse(OTHER)
    with site.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE instance SET patient_id = 'OTHER' WHERE study_instance_uid = ?", (OTHER,))
    retention_commands.forget(config, Target(None, PATIENT_ID))
    assert site.images(OTHER) == 1
    assert (site.data / "results" / OTHER).exists()
    assert site.study() is None


def test_images_are_deleted_by_hand_and_the_study_still_shows_its_findings(
    site: Site, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.analyse()
    retention_commands.delete(config, Target(UID, None), results=False)
    assert "deleted: 2 images, of 1 study" in capsys.readouterr().out
    assert site.images() == 0
    assert (site.data / "results" / UID).exists()
    with site.ledger.read() as connection:
        view = study_view(connection, UID)
    assert view is not None
    assert view.deleted.keys() == {"images"}
    assert "by readfirst delete (" in view.deleted["images"]["detail"]
    retention_commands.delete(config, Target(UID, None), results=True)
    assert not any((site.data / name / UID).exists() for name in ("results", "pictures", "quarantine"))
    with site.ledger.write() as connection, pytest.raises(ReadFirstError, match="the results of study .* were deleted"):
        retry(connection, UID, NOW)


def test_what_is_in_the_way_is_said_and_nothing_is_touched(site: Site, config: Path) -> None:
    with pytest.raises(ReadFirstError, match="is receiving: wait until it is finished"):
        retention_commands.delete(config, Target(UID, None), results=False)
    site.analyse(waits=True)
    with pytest.raises(ReadFirstError, match="wait for their receiver: `readfirst retry"):
        retention_commands.forget(config, Target(None, PATIENT_ID))
    retention_commands.set_pinned(config, UID, pinned=True)
    with pytest.raises(ReadFirstError, match="is pinned: `readfirst unpin"):
        retention_commands.delete(config, Target(UID, None, undelivered=True), results=True)
    with pytest.raises(ReadFirstError, match="no study 1.2.99 is known"):
        retention_commands.delete(config, Target("1.2.99", None), results=True)
    with pytest.raises(ReadFirstError, match="name one study by its UID, or a patient"):
        retention_commands.delete(config, Target(None, None), results=True)
    assert site.images() == 2
    retention_commands.set_pinned(config, UID, pinned=False)
    retention_commands.delete(config, Target(UID, None, undelivered=True), results=True)
    with site.ledger.read() as connection:
        assert {row.state for row in connection.execute(select(JOB).where(JOB.c.kind == "delivery"))} == {"superseded"}
