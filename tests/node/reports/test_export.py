from __future__ import annotations

import csv
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.readers import read_reports
from models.report_labels.rules import TABLES, read_rules
from node.admin.report_commands import export_reports
from node.errors import ReadFirstError
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import INSTANCE, STUDY
from node.reports.deidentify import deidentified
from node.reports.export import export, pseudonym, read_key
from node.reports.reading import ReceivedReport
from node.reports.store import report_store
from node.settings import load

TEXT = """FINDINGS: Mr. Secret Name has a 12 mm nodule in the right upper lobe, compared with 03/15/2026.
SECRET was seen on 2026-09-21 at 14:30 (MRN 4711, phone 555-123-4567). Born 29.02.1960. Accession ACC1.
Discussed with Dr. Alice Attending and Dr. John Q. Public by phone on September 21, 2026.
IMPRESSION: Nodule. No pneumothorax.
Electronically signed by Rudolf Reader"""
REPORT = ReceivedReport(
    accession_number="ACC1",
    study_instance_uid="",
    patient="4711^HOSP",
    status="final",
    sent_at="20260921120000",
    text=TEXT,
    names=("Secret", "Name", "Attending", "Alice", "Reader", "Rudolf"),
    numbers=("4711", "ACC1", "555-123-4567"),
    dates=("19600229", "20260921"),
)
GONE = (
    "Secret", "SECRET", "Alice", "Attending", "Public", "Rudolf", "Reader", "4711", "ACC1", "555", "2026", "1960",
    "14:30", "September",
)  # fmt: skip
KEY = bytes(range(1, 33))


def add_study(ledger: Ledger, uid: str, accession: str, instances: int) -> None:
    header = {"00080050": {"vr": "SH", "Value": [accession]}}
    study = {
        "study_instance_uid": uid, "generation": 1, "state": "DONE", "reason": "", "evidence": "", "header": header,
        "calling_ae_title": "CT", "first_received_at": 0.0, "last_received_at": 0.0,
    }  # fmt: skip
    with ledger.write() as connection:
        connection.execute(STUDY.insert().values(**study))
        for number in range(instances):
            connection.execute(
                INSTANCE.insert().values(
                    sop_instance_uid=f"{uid}.{number}", sop_class_uid="1.2", series_instance_uid=f"{uid}.9",
                    study_instance_uid=uid, transfer_syntax_uid="1.2", path=f"instances/{number:03}.dcm", sha256="0",
                    size=1, calling_ae_title="CT", received_at=0.0, generation=1, conflict=False,
                )
            )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_what_names_people_is_gone_and_what_is_found_stays() -> None:
    text = deidentified(REPORT)
    assert not [word for word in GONE if word in text]
    assert "12 mm nodule in the right upper lobe" in text
    assert "IMPRESSION: Nodule. No pneumothorax." in text


@pytest.mark.parametrize(
    "text",
    ["3 of 5 nodules, 1.2 x 0.9 cm, series 4 image 112", "T8/T9", "CT 5 mm, 120 kV", "nodule 10-12 mm", "stage IIIB"],
)
def test_measurements_stay(text: str) -> None:
    assert deidentified(replace(REPORT, text=text)) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("患者王小明，2026年9月21日复查。", "患者[name]，[date]复查。"),
        ("住院号：12345 右侧气胸。", "[name] 右侧气胸。"),
    ],
)
def test_chinese_text_has_no_names(text: str, plain: str) -> None:
    assert deidentified(replace(REPORT, text=text, names=("王小明",))) == plain


def test_a_name_inside_a_word_is_left_alone() -> None:
    assert deidentified(replace(REPORT, text="massive effusion", names=("Mass",))) == "massive effusion"


def test_the_folder_has_pseudonyms_alone_and_the_list_beside_it_leads_back(ledger: Ledger, tmp_path: Path) -> None:
    add_study(ledger, "1.2.3", "ACC1", 6)
    add_study(ledger, "1.2.4", "ACC2", 2)
    xray = replace(REPORT, accession_number="ACC2", text="Effusion.")
    others = [
        replace(REPORT, accession_number="ACC3"), replace(REPORT, accession_number="ACC4", status="preliminary"),
        replace(REPORT, accession_number="ACC5", status="canceled"),
    ]  # fmt: skip
    to = tmp_path / "out"
    with ledger.read() as connection:
        done = export(connection, [REPORT, xray, *others], to, tmp_path, KEY)
    assert (done.reports, done.waiting, done.without_images) == (2, 2, 1)
    found = rows(to / "reports.csv")
    assert [row["image"] for row in found] == [
        found[0]["study"],
        f"{found[1]['study']}-1.dcm",
        f"{found[2]['study']}-2.dcm",
    ]
    assert len({row["patient"] for row in found}) == 1
    whole = "".join(path.read_text() for path in to.rglob("*.*")) + "".join(path.name for path in to.rglob("*"))
    assert not [word for word in [*GONE, "1.2.3", "ACC2"] if word in whole]
    images = rows(tmp_path / "out-images.csv")
    assert len(images) == 8
    assert images[0]["path"] == str(tmp_path / "instances" / "000.dcm")
    with ledger.read() as connection, pytest.raises(ReadFirstError, match="is not empty"):
        export(connection, [REPORT], to, tmp_path, KEY)


def test_pseudonyms_depend_on_the_key_and_the_key_stays(tmp_path: Path) -> None:
    assert pseudonym(KEY, "patient", "4711^HOSP") == pseudonym(KEY, "patient", "4711^HOSP")
    assert pseudonym(KEY, "patient", "4711^HOSP") != pseudonym(KEY[::-1], "patient", "4711^HOSP")
    key = read_key(tmp_path / "reports")
    assert len(key) == 32
    assert read_key(tmp_path / "reports") == key
    assert (tmp_path / "reports" / "export.key").stat().st_mode & 0o077 == 0


def test_the_command_writes_what_label_reports_reads(tmp_path: Path) -> None:
    config = tmp_path / "readfirst.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}/data"\n[reports]\nenabled = true\n[worklist.orders]\nport = 2575\n')
    settings = load(config)
    settings.node.data.mkdir()
    with closing(open_ledger(settings)) as ledger:
        add_study(ledger, "1.2.3", "ACC1", 6)
    with pytest.raises(ReadFirstError, match=r"reports has no reports; set reports.enabled"):
        export_reports(config, tmp_path / "out")
    store = report_store(settings)
    assert store is not None
    assert store.keep(REPORT)
    export_reports(config, tmp_path / "out")
    (report,) = read_reports(tmp_path / "out" / "reports.csv")
    labels = Labeler(read_rules(TABLES["chest-ct"]["en"])).label(report.text)
    assert report.columns["series"] == report.images[0]
    assert labels.assertions["nodulegr1cm"] is Assertion.PRESENT
    assert labels.assertions["pneumothorax"] is Assertion.ABSENT
