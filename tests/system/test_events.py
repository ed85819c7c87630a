"""Who watches the worklist hears of a result at once: real processes, over DIMSE and over a WebSocket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from ports import free_port
from websockets.sync.client import connect

from models.packages import ZOO
from tests import low_thresholds
from tests.system.test_up import PATIENCE, ROOT, SAMPLES, Up
from tests.waiting import at_most, wait_until

ALL = "1.2.840.10008.5.1.4.34.5"
# whatever the model finds (its thresholds are lowered, too): this is about time
POLICY = """[worklist.policy]
unproven_may_raise = ["*"]
[[worklist.policy.rules]]
finding = "*"
priority = "HIGH"
"""


class Reader:
    """The subscriber's process and what it printed."""

    def __init__(self, port: int, node: int, log: Path) -> None:
        self._log = log
        command = [sys.executable, str(Path(__file__).with_name("subscriber.py")), str(port), str(node)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def first(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        wait_until(lambda: any(map(holds, self.lines)), self._log.read_text, PATIENCE)
        return next(line for line in self.lines if holds(line))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Up, int, int]]:
    """A node, the port of the peer READER, and that of the web server."""
    reader, web = free_port(), free_port()
    peer = f'[peers.reader]\nae_title = "READER"\nhost = "127.0.0.1"\nport = {reader}\nworklist = ["read"]\n'
    monkeypatch.setenv("READFIRST_WEB__PORT", str(web))
    low_thresholds.write_package(ZOO, tmp_path / "models")
    running = Up(tmp_path, f'{peer}[models]\nfolder = "{tmp_path / "models"}"\n{POLICY}')
    yield running, reader, web
    running.process.kill()
    running.process.wait()


def value(told: dict[str, Any], tag: str) -> Any:
    return told.get(tag, {}).get("Value", [None])[0]


def test_the_priority_is_heard_within_a_second_of_the_result(up: tuple[Up, int, int], tmp_path: Path) -> None:
    node, port, web = up
    base = f"127.0.0.1:{web}/dicomweb"
    reader = Reader(port, node.port, tmp_path / "reader.log")
    try:
        assert reader.first(lambda line: "subscribed" in line)["subscribed"] == 0x0000
        assert httpx.post(f"http://{base}/workitems/{ALL}/subscribers/VIEWER").status_code == 201
        with connect(f"ws://{base}/subscribers/VIEWER", proxy=None) as socket:
            node.push(SAMPLES / "chest-xray-pneumothorax")
            raised = reader.first(lambda line: line.get("type") == 3)
            arrived, event = 0.0, dict[str, Any]()
            while value(event, "00001002") != 3:
                event, arrived = json.loads(socket.recv(timeout=PATIENCE)), time.time()
        assert value(raised["told"], "00741200") == value(event, "00741200") == "HIGH"
        story = node.story("chest-xray-pneumothorax")
        decided = datetime.fromisoformat(story["decisions"][0]["at"]).timestamp()
        print(f"after the decision: association {raised['at'] - decided:.3f} s, WebSocket {arrived - decided:.3f} s")
        assert raised["at"] - decided < at_most(1.0)
        assert story["decisions"][0]["outcome"] == "sent"

        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        node.start()
        restarted = reader.first(lambda line: line.get("type") == 4)
        assert [value(restarted["told"], tag) for tag in ("00741242", "00741244", "00741246")] == [
            "RESTARTED", "WARM START", "WARM START",
        ]  # fmt: skip
    finally:
        reader.end()
