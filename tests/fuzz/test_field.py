"""The cases of the field against one running SCP: each gets its answer, and nobody else notices."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_port

from node.sending.scu import Requestor, store
from node.settings import Peer
from tests.fuzz import wire
from tests.fuzz.caller import PATIENCE, Caller, play
from tests.fuzz.cases import CASES, Case
from tests.node.phantoms import INSTANCE, encoded, image, part10
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
GROWTH = 10 << 10  # KiB of resident memory that all of the cases together may leave
PEAK = 16 << 10  # KiB above the beginning that is never exceeded


class Node:
    """The SCP's process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.log = folder / "log"
        command = [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-m",
            "tests.fuzz.scp_child",
            str(folder),
            str(self.port),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.log.read_text()

    def status(self, key: str) -> int:
        """A number of /proc: VmRSS and VmHWM in KiB, Threads."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


class Healthy(threading.Thread):
    """An association that stores an instance after the other, and counts what was answered Success."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._over = port, threading.Event()
        self.kept: list[tuple[str, bytes]] = []
        self.slowest = 0.0
        self.failed = ""

    def run(self) -> None:
        caller = Caller(self._port)
        with caller.sock:
            caller.send(wire.association_request())
            assert caller.read() == "AC"
            while not self._over.is_set():
                uid = f"{INSTANCE}.1.{len(self.kept)}"
                dataset = encoded(image(uid))
                begin = time.monotonic()
                caller.send(wire.stored(uid, dataset, message=len(self.kept) & 0x7FFF))
                answer = caller.read()
                self.slowest = max(self.slowest, time.monotonic() - begin)
                if answer != "0x0000":
                    self.failed = answer
                    return
                self.kept.append((uid, dataset))
                self._over.wait(0.002)
            caller.send(wire.pdu(wire.RELEASE, bytes(4)))
            assert caller.read() == "RP"

    def end(self) -> None:
        self._over.set()
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("field"))
    yield node
    node.end()


@pytest.fixture(scope="module")
def healthy(node: Node) -> Iterator[Healthy]:
    healthy = Healthy(node.port)
    healthy.start()
    wait_until(lambda: len(healthy.kept) > 20)
    yield healthy
    healthy.end()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_gets_its_answer_and_a_sentence_in_the_log(node: Node, healthy: Healthy, case: Case) -> None:
    before, kept = len(node.lines), len(healthy.kept)
    assert play(node.port, case) == list(case.ends)
    if case.says:
        wait_until(lambda: any(case.says in line for line in node.lines[before:]))
    for line in node.lines[before:]:
        assert "exception" not in json.loads(line)
    wait_until(lambda: len(healthy.kept) > kept or bool(healthy.failed))
    assert not healthy.failed


def test_strangers_take_no_place_of_those_that_are_known(node: Node, healthy: Healthy) -> None:
    """As many as there are places, and more; each is gone when its garbage is refused."""
    for _ in range(12):
        stranger = Caller(node.port)
        with stranger.sock:
            stranger.send(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.read() == "ended"
    wait_until(lambda: node.status("Threads") <= 6)
    known = Caller(node.port)
    with known.sock:
        known.send(wire.association_request())
        assert known.read() == "AC"


def test_a_program_in_the_preamble_of_a_file_is_not_passed_on(node: Node, healthy: Healthy, tmp_path: Path) -> None:
    """CVE-2019-11687: a preamble is no part of the Data Set (PS3.10 7.1); what we write has zeros in its place."""
    uid, path = f"{INSTANCE}.9", tmp_path / "polyglot.dcm"
    file = part10(encoded(image(uid)), sop_instance_uid=uid)
    path.write_bytes(b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + file[128:])
    peer = Peer(ae_title="READFIRST", host="127.0.0.1", port=node.port)
    assert [outcome.error for outcome in store(Requestor("MODALITY"), peer, [path])] == [""]
    (kept,) = (node.folder / "instances").glob(f"*/*/{uid}.dcm")
    assert kept.read_bytes().startswith(bytes(128) + b"DICM")


def test_afterwards_nothing_is_lost_and_nothing_is_left(node: Node, healthy: Healthy) -> None:
    for case in CASES[1::3]:  # what is imported and allocated once
        play(node.port, case)
    wait_until(lambda: node.status("Threads") <= 6)
    memory, threads, descriptors = node.status("VmRSS"), node.status("Threads"), node.descriptors
    for case in CASES[::3]:
        play(node.port, case)
    wait_until(lambda: node.status("Threads") <= threads and node.descriptors <= descriptors)
    growth, peak = (node.status(key) - memory for key in ("VmRSS", "VmHWM"))
    assert growth < GROWTH
    assert peak < PEAK
    healthy.end()
    assert not healthy.failed
    for uid, dataset in healthy.kept:
        (path,) = (node.folder / "instances").glob(f"*/*/{uid}.dcm")
        assert path.read_bytes().endswith(dataset)
    assert not list((node.folder / "incoming").iterdir())
    print(f"{len(healthy.kept)} instances beside {len(CASES)} cases, slowest {healthy.slowest:.3f} s")
    print(f"KiB: {growth=}, {peak=}")
