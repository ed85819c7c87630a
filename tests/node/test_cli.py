"""The command `readfirst` as a user meets it: exit codes, sentences, tables, JSON. Everything behind it is real."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from pydicom import Dataset
from sqlalchemy import update

from node import __version__, cli
from node.admin import feedback
from node.data_folder import held
from node.dispatch import notifications
from node.entities import AnalysisReport, FoundFinding, JobKind, StudyState
from node.ledger import jobs, studies, workers
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import JOB, STUDY
from node.receiving import instances
from node.sending import circuits, deliveries
from node.settings import Policy, load
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading import work_items
from node.worklist.triage import decisions
from tests.node.conftest import House
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME, image, result, save, stored

UID, FAILED, REFUSED = "1.2.3.1", "1.2.3.2", "1.2.3.3"
COMMANDS = (
    "up",
    "node",
    "worker",
    "send",
    "status",
    "study",
    "worklist",
    "retry",
    "pin",
    "unpin",
    "delete",
    "forget",
    "check",
    "backup",
    "reindex",
    "models",
)
refusal_is_meant = pytest.mark.filterwarnings(  # pynetdicom does not close the socket of a refused connection
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Readfirst = Callable[..., Done]


@pytest.fixture
def readfirst(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_logging: None) -> Readfirst:
    """Run the command in this process, through its entry point."""

    def readfirst(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["readfirst", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Done(int(ended.value.code or 0), said.out, said.err)

    return readfirst


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose data folder is `tmp_path`."""
    path = tmp_path / "readfirst.toml"
    path.write_text(f'[node]\nport = {free_port()}\ndata = "{tmp_path}"\nmin_free_mb = 0\n')
    return path


def header(study_instance_uid: str) -> Dataset:
    header = Dataset()
    header.StudyInstanceUID, header.PatientName, header.PatientID = study_instance_uid, PATIENT_NAME, PATIENT_ID
    return header


def finish(ledger: Ledger, uid: str, sop_instance_uid: str, report: AnalysisReport) -> None:
    """A study comes and is analysed, with this outcome."""
    now = time.time()
    with ledger.write() as connection:
        instances.record_instance(connection, stored(sop_instance_uid, study_instance_uid=uid), "MODALITY", now)
        (row,) = studies.receiving(connection)
        assert studies.complete(connection, row, "association released, then 2 s quiet", now)
        work_items.ensure_item(connection, header(uid), now)
        assert studies.claim(connection, uid, 1, now, 20.0)
        assert studies.finish(connection, uid, 1, report, now)


@pytest.fixture
def known(ledger: Ledger, config: Path) -> Path:
    """A ledger knows a failed, a refused and, newest, an analysed study, of which one object waits for a peer."""
    finish(ledger, FAILED, "1.2", AnalysisReport(StudyState.FAILED, "the analysis failed: [bold] is a fault"))
    finish(ledger, REFUSED, "1.3", AnalysisReport(StudyState.NOT_ANALYSED, "not analysed, because: modality MG"))
    finding = FoundFinding("chest-xray", "Pneumothorax", "probability", 0.93, 0.5, True, "left upper zone", "HIGH")
    finish(ledger, UID, "1.1", AnalysisReport(StudyState.ANALYSED, findings=(finding,)))
    now = time.time()
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result("2.25.1", "segmentation"), result("2.25.2")], ["pacs"], now)
        first, second = deliveries.claim(connection, UID, "pacs", now, 20.0)
        deliveries.record_sent(connection, first, "pacs", "the peer refused it with status 0xA700", now)
        deliveries.record_sent(connection, second, "pacs", "", now)
        work_items.raise_priority(
            connection, UID, RequestedPriority(Priority.HIGH, "Pneumothorax (probability 93 %)"), now
        )
    return config


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(readfirst: Readfirst, command: str) -> None:
    done = readfirst(command, "--help")
    assert done.code == 0
    usage, description, *_ = (line.strip() for line in done.out.splitlines() if line.strip())
    assert usage.startswith("Usage: ")
    assert command in usage.split()
    assert description[0].isalpha()  # a sentence, and not yet the frame of the options


def test_the_help_lists_every_command_with_its_sentence(readfirst: Readfirst) -> None:
    done = readfirst("--help")
    assert done.code == 0
    assert "not a medical device" in done.out
    listed = {line.strip(" │|").partition(" ")[0]: line for line in done.out.splitlines()}
    for command in COMMANDS:
        assert len(listed[command].split()) > 4


def test_the_version(readfirst: Readfirst) -> None:
    done = readfirst("--version")
    assert (done.code, done.out.strip()) == (0, __version__)


@pytest.mark.parametrize(
    "words", [("nothing",), ("status", "--nothing"), ("study",), ("send",), ("status", "--limit", "0")]
)
def test_what_is_no_command_is_a_usage_error(readfirst: Readfirst, words: tuple[str, ...]) -> None:
    done = readfirst(*words)
    assert (done.code, done.out) == (2, "")
    assert "Usage: " in done.err


@pytest.mark.parametrize(
    "words", [("status",), ("study", UID), ("worklist",), ("retry", UID)], ids=lambda words: words[0]
)
def test_without_a_ledger_it_says_where_it_looked_and_makes_none(
    readfirst: Readfirst, config: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = readfirst(*words, "--config", config)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"readfirst: there is no ledger in {tmp_path}: start the node, or name its --config\n"
    assert [path.name for path in tmp_path.iterdir()] == ["readfirst.toml"]


def test_verdicts_are_written_as_csv(readfirst: Readfirst, known: Path, ledger: Ledger, tmp_path: Path) -> None:
    seen = feedback.FindingKey(UID, 1, "chest-xray", "Pneumothorax")
    with ledger.write() as connection:
        assert feedback.record(connection, seen, feedback.Agreement.DISAGREE, 1.0)
    out = tmp_path / "out.csv"
    done = readfirst("worklist", "feedback", "--config", known, "--out", out)
    assert (done.code, done.out) == (0, f"feedback on 1 finding written to {out}\n")
    assert [line.split(",")[-2] for line in out.read_text().splitlines()] == ["verdict", "disagree"]
    done = readfirst("worklist", "feedback", "--config", known, "--out", tmp_path / "no" / "out.csv")
    assert (done.code, done.out) == (1, "")
    assert "cannot be written" in done.err


@pytest.mark.parametrize("words", [("status",), ("up",), ("node",), ("worker",)], ids=lambda words: words[0])
def test_a_wrong_key_is_named(readfirst: Readfirst, config: Path, words: tuple[str, ...]) -> None:
    config.write_text("[node]\nprot = 1\n")
    done = readfirst(*words, "--config", config)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"readfirst: {config}: unknown key node.prot: did you mean node.port?\n"


def test_a_configuration_that_is_not_there_is_said(readfirst: Readfirst, tmp_path: Path) -> None:
    done = readfirst("status", "--config", tmp_path / "none.toml")
    assert (done.code, done.out) == (1, "")
    assert "there is no configuration file" in done.err


@pytest.mark.parametrize("command", ["check", "reindex"])
def test_without_any_configuration_nothing_is_made(
    readfirst: Readfirst, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = readfirst(command)
    assert done.code == 1
    assert "there is no configuration: write" in done.out + done.err
    assert not (tmp_path / "var").exists()


def test_status_shows_states_reasons_and_what_waits(readfirst: Readfirst, known: Path) -> None:
    done = readfirst("status", "--config", known)
    assert (done.code, done.err) == (0, "")
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "analysed" in lines[UID]
    assert "HIGH" in lines[UID]
    assert "the peer refused it with status 0xA700" in lines[UID]  # why what waits is not sent
    assert "the analysis failed: [bold] is a fault" in lines[FAILED]  # printed as it is
    assert "not analysed, because: modality MG" in lines[REFUSED]
    assert "0 studies unfinished, 1 object not yet delivered" in done.out


def test_why_names_what_matters_and_not_how_a_study_was_found_to_be_complete(
    readfirst: Readfirst, known: Path, ledger: Ledger
) -> None:
    def why(evidence: str) -> str:
        with ledger.write() as connection:
            values = {"reason": "", "evidence": evidence, "state": StudyState.QUEUED}
            connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == FAILED).values(values))
        lines = readfirst("status", "--config", known).out.splitlines()
        return next(line for line in lines if line.startswith(FAILED)).partition("queued")[2]

    for nothing_missing in ("pacs counts 1 instance, all received", "association released, then 2 s quiet"):
        assert not {"counts", "released", "quiet"} & set(why(nothing_missing).split())
    for missing in ("association released, pacs counts 9 instances and only 1 received, then 30 s quiet",
                    "association aborted, then 30 s quiet"):  # fmt: skip
        assert missing in why(missing)


def test_status_shows_workers_that_are_not_ready_and_receivers_that_are_only_probed(
    readfirst: Readfirst, known: Path
) -> None:
    with closing(open_ledger(load(known))) as ledger, ledger.write() as connection:
        workers.beat(connection, "here:1", time.time(), ready=False, reason="no GPU")
        for uid in ("1.1", "1.2", "1.3"):
            circuits.record_failure(connection, "pacs", uid, "it does not answer", time.time())
    out = " ".join(readfirst("status", "--config", known).out.split())
    assert "worker here:1 is not ready since " in out and ": no GPU" in out
    assert "pacs failed 3 times in a row (it does not answer): 1 object waiting, it is probed at" in out
    found = readfirst("status", "--json", "--config", known).json
    assert [one["readiness"] for one in found["workers"]] == ["not ready"]
    assert [(one["peer"], one["waiting"]) for one in found["receivers_failing"]] == [("pacs", 1)]


def test_status_as_json(readfirst: Readfirst, known: Path) -> None:
    done = readfirst("status", "--json", "--config", known)
    assert (done.code, done.err) == (0, "")
    assert (done.json["unfinished"], done.json["undelivered"]) == (0, 1)
    found = {study["study_instance_uid"]: study for study in done.json["studies"]}
    assert {uid: study["state"] for uid, study in found.items()} == {
        UID: "analysed", FAILED: "failed", REFUSED: "not analysed"
    }  # fmt: skip
    study = found[UID]
    assert (study["priority"], study["instances"]) == ("HIGH", 1)
    assert (study["objects_delivered"], study["objects_waiting"]) == (1, 1)
    assert study["finished_at"].endswith("+00:00")


def test_status_shows_as_many_as_asked_for_the_newest_first(readfirst: Readfirst, known: Path) -> None:
    shown = readfirst("status", "--json", "--limit", "2", "--config", known).json["studies"]
    assert [study["study_instance_uid"] for study in shown] == [UID, REFUSED]


def test_study_tells_the_whole_story(readfirst: Readfirst, known: Path) -> None:
    done = readfirst("study", UID, "--config", known)
    assert (done.code, done.err) == (0, "")
    assert f"{UID}: analysed" in done.out
    for words in ("Pneumothorax", "probability 0.930", "left upper zone", "chest-xray", "first instance from MODALITY"):
        assert words in done.out
    assert "the peer refused it with status 0xA700" in done.out
    assert "delivered" in done.out
    assert PATIENT_NAME not in done.out
    assert "the analysis failed: [bold] is a fault" in readfirst("study", FAILED, "--config", known).out


def test_study_as_json(readfirst: Readfirst, known: Path) -> None:
    story = readfirst("study", UID, "--json", "--config", known).json
    assert [finding["label"] for finding in story["findings"]] == ["Pneumothorax"]
    assert [(one["kind"], one["state"], one["attempts"], one["last_error"]) for one in story["deliveries"]] == [
        ("segmentation", "pending", 1, "the peer refused it with status 0xA700"), ("statement", "delivered", 1, "")
    ]  # fmt: skip
    assert [event["kind"] for event in story["events"]][:2] == ["receiving", "complete"]
    assert len(story["results"]) == 2


@pytest.mark.parametrize("words", [("study",), ("study", "--json")], ids=["table", "json"])
def test_a_study_that_nobody_knows_is_a_sentence(readfirst: Readfirst, known: Path, words: tuple[str, ...]) -> None:
    done = readfirst(*words, "1.9.9", "--config", known)
    assert (done.code, done.out) == (1, "")
    assert done.err == "readfirst: no study 1.9.9 is known; `readfirst status` lists them\n"


def test_the_worklist_has_the_most_urgent_first(readfirst: Readfirst, known: Path) -> None:
    done = readfirst("worklist", "--config", known)
    assert (done.code, done.err) == (0, "")
    head, *rows = (line for line in done.out.splitlines() if line.strip())
    assert head.split()[:4] == ["priority", "state", "patient", "study"]
    assert [row.split()[0] for row in rows] == ["HIGH", "MEDIUM", "MEDIUM"]
    for words in (UID, PATIENT_NAME, PATIENT_ID, "Pneumothorax (probability 93 %)"):
        assert words in rows[0]


def test_the_worklist_as_json(readfirst: Readfirst, known: Path) -> None:
    rows = readfirst("worklist", "--json", "--config", known).json
    assert [row["study_instance_uid"] for row in rows] == [UID, FAILED, REFUSED]
    assert (rows[0]["priority"], rows[0]["source"], rows[0]["patient_name"]) == ("HIGH", "triage", PATIENT_NAME)
    assert rows[0]["created_at"].endswith("+00:00")


def test_retry_makes_deliveries_due(readfirst: Readfirst, known: Path, ledger: Ledger) -> None:
    done = readfirst("retry", UID, "--config", known)
    assert (done.code, done.out, done.err) == (0, "1 job due now\n", "")
    with ledger.read() as connection:
        assert deliveries.due(connection, time.time(), time.time()) == [(UID, "pacs")]


def test_a_job_of_no_study_is_retried_by_the_number_that_status_shows(
    readfirst: Readfirst, known: Path, ledger: Ledger
) -> None:
    later = time.time() + 3600
    with ledger.write() as connection:
        number = jobs.put(connection, jobs.NewJob(JobKind.AUDIT_MESSAGE, "syslog", last_error="down"), 0.0, later)
    status = readfirst("status", "--config", known).out
    assert next(line for line in status.splitlines() if "syslog" in line).split()[0] == str(number)
    assert readfirst("retry", str(number), "--config", known).out == f"job {number} due now\n"
    with ledger.read() as connection:
        assert [row["due_at"] < later for row in jobs.find(connection, JOB.c.id == number)] == [True]
    done = readfirst("retry", str(number + 1), "--config", known)
    assert (done.code, done.err) == (
        1,
        f"readfirst: no job {number + 1} waits or was rejected; `readfirst status` lists them\n",
    )


@pytest.mark.parametrize("uid", [FAILED, REFUSED], ids=["failed", "not analysed"])
def test_retry_queues_an_analysis_again(readfirst: Readfirst, known: Path, ledger: Ledger, uid: str) -> None:
    done = readfirst("retry", uid, "--config", known)
    assert (done.code, done.out, done.err) == (0, "analysis queued again\n", "")
    with ledger.read() as connection:
        assert [row["study_instance_uid"] for row in notifications.unnotified(connection, time.time())] == [uid]
    again = readfirst("retry", uid, "--config", known)
    assert (again.code, again.out) == (1, "")
    assert f"study {uid} has no failed analysis, nothing kept back and nothing that waits" in again.err


def test_retry_of_a_study_that_nobody_knows_is_a_sentence(readfirst: Readfirst, known: Path) -> None:
    done = readfirst("retry", "1.9.9", "--config", known)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("readfirst: ")
    assert "1.9.9" in done.err


def to(house: House) -> tuple[str, str]:
    host, port = house.address
    return "--to", f"READFIRST@{host}:{port}"


def test_send_pushes_and_says_how_many(readfirst: Readfirst, house: House, tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    save(folder / "1", image("1.1"))
    save(folder / "2", image("1.2"))
    (folder / "notes.txt").write_text("hello")
    done = readfirst("send", folder, *to(house), "--as", "MODALITY")
    assert (done.code, done.out) == (0, "2 of 2 instances sent, 1 other file left alone\n")
    assert [file.name for file in house.files] == ["1.1.dcm", "1.2.dcm"]


def test_send_exits_1_if_one_was_refused_and_names_it(readfirst: Readfirst, house: House, tmp_path: Path) -> None:
    good, bad = save(tmp_path / "1", image("1.1")), save(tmp_path / "2", image("1.2"), sop_instance_uid="1.9")
    done = readfirst("send", good, bad, *to(house), "--as", "MODALITY")
    assert done.code == 1
    assert f"not sent: {bad}: the peer refused it with status 0xA900" in done.out
    assert "1 of 2 instances sent" in done.out
    assert [file.name for file in house.files] == ["1.1.dcm"]


@refusal_is_meant
def test_send_to_nobody_exits_1_and_says_so(readfirst: Readfirst, tmp_path: Path) -> None:
    path = save(tmp_path / "1", image())
    done = readfirst("send", path, "--to", f"NOBODY@127.0.0.1:{free_port()}")
    assert done.code == 1
    assert f"not sent: {path}: NOBODY@127.0.0.1:" in done.out
    assert "cannot be reached" in done.out
    assert "0 of 1 instance sent" in done.out


def test_send_under_a_name_that_is_not_let_in_exits_1(readfirst: Readfirst, house: House, tmp_path: Path) -> None:
    done = readfirst("send", save(tmp_path / "1", image()), *to(house), "--as", "STRANGER")
    assert done.code == 1
    assert "rejected the association of STRANGER" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "nowhere"), "--to nowhere: write AET@HOST:PORT"),
        (("--to", "PACS@127.0.0.1:99999"), "--to PACS@127.0.0.1:99999: "),
        (("--to", "PACS@127.0.0.1:104", "--as", "SEVENTEEN_LETTERS"), "--as SEVENTEEN_LETTERS: "),
    ],
    ids=["to", "port", "as"],
)
def test_send_says_which_option_is_wrong(
    readfirst: Readfirst, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = readfirst("send", save(tmp_path / "1", image()), *words)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"readfirst: {said}")


def test_send_of_nothing_exits_1(readfirst: Readfirst, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    nothing = readfirst("send", tmp_path, "--to", "PACS@127.0.0.1:104")
    assert nothing.code == 1
    assert str(tmp_path) in nothing.out + nothing.err or "0 of 0" in nothing.out
    gone = readfirst("send", tmp_path / "gone", "--to", "PACS@127.0.0.1:104")
    assert (gone.code, gone.err) == (1, f"readfirst: there is no {tmp_path / 'gone'}\n")


def test_check_of_wrong_settings_is_one_line_and_exit_1(readfirst: Readfirst, config: Path) -> None:
    config.write_text("[node]\nprot = 1\n")
    done = readfirst("check", "--config", config)
    assert (done.code, done.out) == (
        1,
        f"FAIL configuration: {config}: unknown key node.prot: did you mean node.port?\n",
    )
    done = readfirst("check", "--json", "--config", config)
    assert done.code == 1
    detail = f"{config}: unknown key node.prot: did you mean node.port?"
    assert done.json == [{"ok": False, "what": "configuration", "detail": detail, "warning": False}]


def settled(config: Path, folder: Path, *packages: str) -> Path:
    """The configuration with a folder that gets the results, and these model packages."""
    more = f'[models]\npackages = {json.dumps(packages)}\n[peers.out]\nreceive = ["results"]\nfolder = "{folder}"\n'
    config.write_text(config.read_text() + more)
    return config


def test_check_exits_0_where_all_is_well(readfirst: Readfirst, config: Path, tmp_path: Path) -> None:
    done = readfirst("check", "--config", settled(config, tmp_path / "out", "chest-ct"))
    assert (done.code, done.err) == (0, "")
    assert [line for line in done.out.splitlines() if not line.startswith("ok ")] == []


def test_check_exits_1_where_one_line_fails(readfirst: Readfirst, config: Path, tmp_path: Path) -> None:
    done = readfirst("check", "--config", settled(config, tmp_path / "out", "chest-ct", "nope"))
    assert done.code == 1
    (failed,) = [line for line in done.out.splitlines() if not line.startswith("ok ")]
    assert failed.startswith("FAIL model nope: There is no model package named 'nope'")


def test_check_as_json(readfirst: Readfirst, config: Path, tmp_path: Path) -> None:
    done = readfirst("check", "--json", "--config", settled(config, tmp_path / "out", "chest-ct", "nope"))
    assert (done.code, done.err) == (1, "")
    assert [line["what"] for line in done.json if not line["ok"]] == ["model nope"]
    assert {"configuration", "disk", "database", "queue", "address", "peer out", "model chest-ct", "device"} <= {
        line["what"] for line in done.json if line["ok"]
    }


def test_a_study_tells_each_decision_and_the_status_what_waits(
    readfirst: Readfirst, known: Path, ledger: Ledger
) -> None:
    with known.open("a") as file:
        file.write("[worklist.policy]\nalerts_an_hour = 1\nstuck_studies = 1\n")
    finding = FoundFinding("chest-xray", "Pneumothorax", "probability", 0.93, 0.5, True, "", "HIGH")
    policy = Policy(alerts_an_hour=1)
    with ledger.write() as connection:
        for uid in (FAILED, REFUSED):
            decisions.decide_study(connection, decisions.Analysed(uid, 1, (finding,)), policy, time.time())
    done = readfirst("study", REFUSED, "--config", known)
    assert done.code == 0
    assert "waits" in done.out
    assert "HIGH waits, 1 alert in the last hour: Pneumothorax (probability 93 %, threshold 50 %), ACR" in done.out
    assert "patient unknown, 0.0 h after the study, 1 alert/h" in done.out
    (told,) = readfirst("study", REFUSED, "--json", "--config", known).json["decisions"]
    assert (told["outcome"], told["waiting"], told["inputs"]["policy"]["alerts_an_hour"]) == ("waits", True, 1)
    status = readfirst("status", "--config", known)
    assert "1 alert waiting for worklist.policy.alerts_an_hour" in status.out
    assert "chest-xray flags nearly everything: it is in shadow mode" in status.out
    said = readfirst("status", "--json", "--config", known).json
    assert (said["alerts_waiting"], said["stuck_packages"]) == (1, ["chest-xray"])


def test_a_backup_is_restored_and_reindexed_as_a_user_does(
    readfirst: Readfirst, config: Path, house: House, associate: Callable[..., Any], tmp_path: Path
) -> None:
    association = associate(house, ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"))
    association.send_c_store(save(tmp_path / "1", image("1.2.1")))
    (tmp_path / "copies").mkdir()
    done = readfirst("backup", tmp_path / "copies", "--config", config)
    assert (done.code, done.err) == (0, "")
    (copy,) = (tmp_path / "copies").glob("ledger-*.sqlite")
    assert str(copy) in done.out
    association.send_c_store(save(tmp_path / "2", image("1.2.2", StudyInstanceUID="1.2.3")))
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    done = readfirst("status", "--config", config)
    assert done.code == 1
    assert "there is no ledger" in done.err
    copy.rename(tmp_path / "ledger.sqlite")
    done = readfirst("reindex", "--config", config)
    assert (done.code, done.out) == (0, "1 instance of 1 study recorded, with 0 results of ours\n")
    listed = readfirst("status", "--json", "--config", config).json["studies"]
    assert sorted(row["study_instance_uid"] for row in listed) == ["1.2.3", "1.2.826.0.1.3680043.9.1"]


def test_reindex_says_what_it_could_not_read_and_ends_with_1(readfirst: Readfirst, config: Path) -> None:
    folder = config.parent / "instances" / "1.2" / "1.3"
    folder.mkdir(parents=True)
    (folder / "1.4.dcm").write_bytes(b"torn")
    done = readfirst("up", "--config", config)
    assert done.code == 1
    assert "run `readfirst reindex`" in done.err
    done = readfirst("reindex", "--config", config)
    assert done.code == 1
    assert "not recorded: instances/1.2/1.3/1.4.dcm: " in done.out


def test_a_second_node_on_one_data_folder_ends_with_a_sentence(readfirst: Readfirst, config: Path) -> None:
    with held(config.parent):
        for command in ("up", "reindex"):
            done = readfirst(command, "--config", config)
            assert (done.code, done.out) == (1, "")
            assert "another ReadFirst node runs on the data folder" in done.err
