"""ORU^R01 over real connections: what AA answers is on disk, under the rules of its status."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ports import free_port
from structlog.testing import capture_logs

from node.errors import ConfigurationError
from node.ledger.engine import Ledger
from node.reports.store import ReportStore
from node.settings import Orders, load
from node.worklist.orders.listener import listening
from tests.node.worklist.orders.test_listener import Sender

ORU = """MSH|^~\\&|RIS|RAD|READFIRST|NODE|{time}||ORU^R01^ORU_R01|{id}|P|2.5.1||||||{charset}
PID|1||4711^^^HOSP||Secret^Name^Middle||19600229|F|||Elm Road 5^^Springfield||555-123-4567
PV1|1|O|||||1234^Attending^Alice
ORC|RE|P1|F1
OBR|1|P1|F1|CTCHEST^CT chest|||20260921|||||||||||{accession}||||{time}|||{status}|||||||99&Reader&Rudolf
OBX|1|FT|18748-4&GDT^Report||{text}||||||{status}
OBX|2|TX|18748-4&IMP^Report||{impression}||||||{status}
OBX|3|NM|SIZE||12|mm|||||{status}
"""
DEFAULTS = {
    "id": "M1", "time": "20260921120000", "charset": "UNICODE UTF-8", "accession": "ACC1", "status": "F",
    "text": "A 12 mm nodule.\\.br\\No effusion \\T\\ no mass.", "impression": "Nodule~Follow-up",
}  # fmt: skip


def oru(**values: str) -> str:
    return ORU.format(**(DEFAULTS | values)).replace("\n", "\r")


@pytest.fixture
def listen(ledger: Ledger, tmp_path: Path) -> Iterator[Callable[..., Sender]]:
    with ExitStack() as stack:

        def listen(kept: ReportStore | None) -> Sender:
            table = Orders.model_validate({"port": free_port()})
            sender = Sender(stack.enter_context(listening(table, ledger, None, kept)))
            stack.callback(sender.socket.close)
            return sender

        yield listen


@pytest.fixture
def store(tmp_path: Path) -> ReportStore:
    return ReportStore(tmp_path / "reports")


@pytest.fixture
def sender(listen: Callable[..., Sender], store: ReportStore) -> Sender:
    return listen(store)


def code(answer) -> str:
    return str(answer["MSA.F1"])


def test_a_report_is_on_disk_when_it_is_acknowledged(sender: Sender, store: ReportStore) -> None:
    assert code(sender(oru())) == "AA"
    (report,) = store.all()
    assert (report.accession_number, report.status, report.patient) == ("ACC1", "final", "4711^HOSP")
    assert report.text.splitlines() == [
        "FINDINGS:", "A 12 mm nodule.", "No effusion & no mass.", "", "IMPRESSION:", "Nodule", "Follow-up",
    ]  # fmt: skip
    assert {"Secret", "Name", "Attending", "Alice", "Reader"} <= set(report.names)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("P", "F", "second"), ("F", "C", "second"), ("C", "F", "first"), ("F", "P", "first"), ("F", "F", "second"),
        ("P", "P", "second"), ("F", "X", ""),
    ],
)  # fmt: skip
def test_the_status_decides_which_report_stays(first, second, kept, sender: Sender, store: ReportStore) -> None:
    sender(oru(status=first, text="first", impression=""))
    assert code(sender(oru(id="M2", status=second, text="second", time="20260921130000", impression=""))) == "AA"
    (report,) = store.all()
    assert kept in report.text
    assert (report.status == "canceled") == (kept == "") == (report.text == "")


def test_an_older_report_of_equal_status_does_not_replace_a_newer_one(sender: Sender, store: ReportStore) -> None:
    sender(oru(text="newer", impression=""))
    sender(oru(text="older", impression="", time="20260920120000"))
    (report,) = store.all()
    assert "newer" in report.text


def test_two_studies_are_two_reports_and_one_message_may_have_both(sender: Sender, store: ReportStore) -> None:
    lines = oru().split("\r")
    second = [line.replace("ACC1", "ACC2").replace("P1|F1", "P2|F2") for line in lines[3:]]
    assert code(sender("\r".join([*lines[:-1], *second]))) == "AA"
    assert sorted(report.accession_number for report in store.all()) == ["ACC1", "ACC2"]


def test_chinese_text_arrives(sender: Sender, store: ReportStore) -> None:
    message = oru(text="右侧气胸。", impression="气胸", charset="GB 18030-2000").encode("gb18030")
    assert code(sender(message)) == "AA"
    (report,) = store.all()
    assert "右侧气胸。" in report.text


def test_without_a_number_or_readable_text_it_is_refused(sender: Sender, store: ReportStore) -> None:
    no_number = oru(accession="").replace("|P1|F1", "||")
    answer = sender(no_number)
    assert code(answer) == "AE"
    assert "no accession number" in str(answer["MSA.F3"])
    assert code(sender(oru(text="Löwe").encode("latin_1"))) == "AE"
    assert code(sender(oru(status="Q"))) == "AE"
    assert list(store.all()) == []


def test_what_cannot_be_written_is_not_acknowledged(listen: Callable[..., Sender], tmp_path: Path) -> None:
    full = ReportStore(tmp_path / "full", min_free_bytes=1 << 60)
    answer = listen(full)(oru())
    assert code(answer) == "AE"
    assert "send again" in str(answer["MSA.F3"])
    assert list(full.all()) == []


def test_without_the_setting_a_report_is_acknowledged_and_nothing_is_kept(
    listen: Callable[..., Sender], tmp_path: Path
) -> None:
    assert code(listen(None)(oru())) == "AA"
    assert not list(tmp_path.rglob("*.report.json"))


def test_logs_and_file_names_have_nothing_of_the_patient(sender: Sender, store: ReportStore) -> None:
    with capture_logs() as logs:
        sender(oru())
        sender(oru(accession="").replace("|P1|F1", "||"))
    written = json.dumps(logs) + " ".join(path.name for path in store.folder.iterdir())
    assert "reports kept" in written
    assert not [word for word in ("Secret", "4711", "Springfield", "ACC1", "nodule", "1960") if word in written]
    assert store.folder.stat().st_mode & 0o077 == 0


def test_reports_need_the_listener(tmp_path: Path) -> None:
    (tmp_path / "readfirst.toml").write_text("[reports]\nenabled = true\n")
    with pytest.raises(ConfigurationError, match=r"reports.enabled is true: write a table \[worklist.orders\]"):
        load(tmp_path / "readfirst.toml")
