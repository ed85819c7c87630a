"""`readfirst worklist preview`, and what `study`, `status` and `retry` say of notices."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.admin.study_view import study_view
from node.cli import app
from node.errors import NotAccepted, ReadFirstError
from node.ledger.engine import Ledger
from node.receiving import instances
from node.sending import deliveries
from node.worklist.sinks import notices
from node.worklist.sinks.sender import SinkSender
from tests.node.phantoms import stored
from tests.node.worklist.sinks.phantoms import STUDY, raised
from tests.node.worklist.sinks.test_sender import Told

SINKS = """[worklist]
sinks = ["ups", "hl7", "webhook"]
[worklist.hl7]
host = "127.0.0.1"
port = 9
[worklist.webhook]
url = "http://127.0.0.1:9/Task"
"""


@pytest.fixture
def config(ledger: Ledger, tmp_path: Path) -> Path:
    path = tmp_path / "readfirst.toml"
    path.write_text(f'[node]\ndata = "{tmp_path}"\n{SINKS}')
    raised(ledger, now=time.time())
    return path


def preview(config: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["worklist", "preview", *words, "--config", str(config)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_preview_is_the_message_and_nothing_is_sent(config: Path, ledger: Ledger) -> None:
    lines = preview(config, STUDY, "--sink", "hl7").splitlines()
    assert [line[:3] for line in lines] == ["MSH", "PID", "PV1", "ORC", "OBR", "ZDS"]
    assert "^^^^^S" in lines[3]
    assert json.loads(preview(config, STUDY, "--sink", "webhook"))["priority"] == "stat"
    both = preview(config, STUDY)
    assert "MSH|" in both
    assert '"resourceType": "Task"' in both
    with ledger.read() as connection:
        assert notices.of_study(connection, STUDY) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [(("1.2.3",), "study 1.2.3 has no reading work item"), ((STUDY, "--sink", "fax"), "--sink fax: .* hl7, webhook"),
     ((STUDY, "--sink", "ups"), "--sink ups")],
)  # fmt: skip
def test_what_cannot_be_shown(words: tuple[str, ...], says: str, config: Path) -> None:
    with pytest.raises(ReadFirstError, match=says):
        preview(config, *words)
    config.write_text(config.read_text().replace('"ups", "hl7", "webhook"', '"ups"'))
    with pytest.raises(ReadFirstError, match="sink"):
        preview(config, *words)


def readfirst(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "node", *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_study_status_and_retry_show_acknowledgements_and_refusals(config: Path, ledger: Ledger) -> None:
    with ledger.write() as connection:
        instances.record_instance(connection, stored(study_instance_uid=STUDY), "CT", time.time())
    SinkSender("hl7", Told(), ledger).step()
    SinkSender("webhook", Told([NotAccepted("the server refused the resource with HTTP 422")]), ledger).step()
    options = ("--config", str(config))
    shown = readfirst("study", STUDY, *options)
    with ledger.read() as connection:
        story = study_view(connection, STUDY).as_json()
        assert deliveries.undelivered(connection) == 0
    assert story is not None
    told = {notice["sink"]: notice for notice in story["notices"]}
    assert told["hl7"]["acknowledgement"] == f"taken {told['hl7']['control_id']}"
    assert told["hl7"]["acknowledgement"] in shown
    assert "the server refused the resource with HTTP 422" in shown
    assert "content" not in told["hl7"]  # it names the patient
    assert "0 not yet delivered, 1 rejected" in readfirst("status", *options)
    assert readfirst("retry", STUDY, *options) == "1 job due now\n"
    with ledger.read() as connection:
        assert notices.open_counts(connection) == {"pending": 1, "rejected": 0}
