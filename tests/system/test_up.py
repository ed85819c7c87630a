"""The whole way with real processes: `readfirst up`, real studies, a real Orthanc; nothing is stood in for.

Where a finding must be present, only the thresholds of the shipped package are changed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pacs import Orthanc
from ports import free_port
from pydicom import dcmread
from sqlalchemy import update

from models.packages import ZOO
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import JOB
from node.settings import load
from tests import low_thresholds
from tests.conftest import need
from workers.gate.gate import dciodvfy_errors

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "deploy" / "samples"
PATIENCE = 120.0


ALSO = ["presentation-state", "key-objects", "saliency-map", "report-text", "report-pdf"]  # every kind that there is


class Up:
    """A running `readfirst up` and what a user asks of it."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.folder, self.port, self.web = folder, free_port(), free_port()
        self.config, self.log = folder / "readfirst.toml", folder / "up.log"
        head = f'[node]\nport = {self.port}\ndata = "{folder / "var"}"\nquiet_seconds = 0.5\n[web]\nport = {self.web}\n'
        sender = '[peers.scanner]\nae_title = "SCANNER"\nhost = "127.0.0.1"\nsend = ["images"]\n'
        self.config.write_text(head + sender + toml)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "node", "up", "--config", str(self.config)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        self.until(lambda: "readfirst: ready" in self.said and "worker ready" in self.said)

    @property
    def ledger(self) -> Ledger:
        return open_ledger(load(self.config), make=False)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def readfirst(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "node", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    def ask(self, *words: str) -> Any:
        done = self.readfirst(*words, "--json", "--config", str(self.config))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def push(self, *paths: Path) -> None:
        done = self.readfirst("send", *map(str, paths), "--to", f"READFIRST@127.0.0.1:{self.port}", "--as", "SCANNER")
        assert done.returncode == 0, done.stdout + done.stderr

    def finish(self, studies: int) -> None:
        def done() -> bool:
            status = self.ask("status")
            return len(status["studies"]) == studies and not status["unfinished"] and not status["undelivered"]

        self.until(done)

    def story(self, sample: str) -> dict[str, Any]:
        header = dcmread(next((SAMPLES / sample).glob("*.dcm")), stop_before_pixels=True)
        return self.ask("study", str(header.StudyInstanceUID))

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.said


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    need("Orthanc", "orthanc")
    with Orthanc(tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def up(tmp_path: Path, pacs: Orthanc) -> Iterator[Up]:
    peer = f'[peers.pacs]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {pacs.dicom_port}\nreceive = ["results"]\n'
    peer += f"also = {json.dumps(ALSO)}\n"
    low_thresholds.write_package(ZOO, tmp_path / "models")
    peer += f'[models]\nfolder = "{tmp_path / "models"}"\n'
    running = Up(tmp_path, peer)
    yield running
    running.process.kill()
    running.process.wait()


def held(pacs: Orthanc, story: dict[str, Any]) -> list[str]:
    return sorted(one["sop_instance_uid"] for one in pacs.instances(story["study_instance_uid"]))


def delivered(story: dict[str, Any]) -> list[str]:
    """What the node says that the PACS has: all that it takes, and nothing that only stands by."""
    states = {one["kind"]: one["state"] for one in story["deliveries"]}
    assert {states.get(kind, "delivered") for kind in ("segmentation", "regions", "statement")} == {"delivered"}
    assert states["capture"] == "standby"
    return sorted(one["sop_instance_uid"] for one in story["deliveries"] if one["state"] == "delivered")


def test_real_studies_come_back_as_results_and_a_priority(up: Up, pacs: Orthanc, tmp_path: Path) -> None:
    up.push(SAMPLES / "chest-xray-pneumothorax", SAMPLES / "dog", SAMPLES / "chest-ct")
    up.finish(3)

    radiograph, ct, dog = (up.story(name) for name in ("chest-xray-pneumothorax", "chest-ct", "dog"))
    assert radiograph["state"] == ct["state"] == "analysed"
    assert dog["state"] == "not analysed"
    assert "not a human" in dog["reason"]
    assert held(pacs, dog) == []
    for story in (radiograph, ct):
        assert held(pacs, story) == delivered(story)
        assert "statement" in {one["kind"] for one in story["results"]}
        present = [one for one in story["findings"] if one["present"] and one["place"]]
        assert ("segmentation" in {one["kind"] for one in story["results"]}) == bool(present)
        for one in story["results"]:
            assert dciodvfy_errors(tmp_path / "var" / one["path"]) == ()

    page = f"http://127.0.0.1:{up.web}"
    shown = httpx.get(f"{page}/study/{radiograph['study_instance_uid']}", trust_env=False).text
    assert "Pneumothorax" in shown
    layers = re.findall(r'class="layer" src="(/picture/\d+)"', shown)
    assert layers
    assert all(httpx.get(page + layer, trust_env=False).content.startswith(b"\x89PNG") for layer in layers)

    again = held(pacs, radiograph)
    up.push(SAMPLES / "chest-xray-pneumothorax")
    time.sleep(2)
    up.finish(3)
    assert held(pacs, radiograph) == again
    assert up.story("chest-xray-pneumothorax")["generation"] == 1

    worklist = up.ask("worklist")
    ranks = ["HIGH MEDIUM LOW".index(row["priority"]) for row in worklist]
    assert ranks == sorted(ranks)
    patients = {str(dcmread(path, stop_before_pixels=True)[tag].value)
                for path in (SAMPLES / "chest-xray-pneumothorax").glob("*.dcm")
                for tag in ("PatientName", "PatientID", "AccessionNumber")}  # fmt: skip
    assert not [patient for patient in patients if re.search(re.escape(patient), up.said)]
    up.end()
    assert "readfirst: ended" in up.said


def test_what_a_killed_node_had_taken_is_analysed_and_delivered_once(up: Up, pacs: Orthanc) -> None:
    up.push(SAMPLES / "chest-xray-normal")
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    up.start()
    up.finish(1)
    story = up.story("chest-xray-normal")
    assert story["state"] == "analysed"
    assert held(pacs, story) == delivered(story)


def test_results_wait_for_a_peer_that_is_down_and_retry_sends_them(tmp_path: Path) -> None:
    need("Orthanc", "orthanc")
    port, folder = free_port(), tmp_path / "later"
    peer = f'[peers.pacs]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\nreceive = ["results"]\n'
    up = Up(tmp_path, peer)
    try:
        up.push(SAMPLES / "chest-xray-normal")
        up.until(lambda: any(one["attempts"] for one in _stories(up)))
        assert all(one["state"] == "pending" and "cannot be reached" in one["last_error"] for one in _stories(up))
        with up.ledger.write() as connection:  # as after many tries: the next one by itself is hours away
            connection.execute(update(JOB).values(due_at=time.time() + 6 * 3600))
        pacs = Orthanc(folder)
        pacs.dicom_port = pacs._config["DicomPort"] = port
        with pacs:
            story = up.story("chest-xray-normal")
            done = up.readfirst("retry", story["study_instance_uid"], "--config", str(up.config))
            assert done.returncode == 0, done.stderr
            up.finish(1)
            assert held(pacs, story) == delivered(up.story("chest-xray-normal"))
    finally:
        up.end()


def _stories(up: Up) -> list[dict[str, Any]]:
    known = up.ask("status")["studies"]
    found = up.ask("study", known[0]["study_instance_uid"])["deliveries"] if known else []
    return [one for one in found if one["state"] != "standby"]
