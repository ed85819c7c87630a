"""A node with all that it talks to: `readfirst up`, a PACS, a RIS, and who sends; real processes on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from ports import free_port

from node.ledger.engine import Ledger
from node.processes import die_with_parent
from tests.node.worklist.sinks.phantoms import Hl7Receiver, answering
from tests.system.faults import archive, sender, studies
from tests.system.faults.archive import Archive
from tests.system.faults.clock import Clock
from tests.system.faults.sender import Sender, Stream
from tests.system.faults.studies import Patients, Study
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
QUIET = 0.3  # seconds
IDLE = 6.0  # seconds, node.network_timeout
ANSWER = 8.0  # seconds until the PACS is queried, whose result of storage commitment did not arrive
RECEIVER = "pacs"  # table of the peer that receives
_READY, _WORKING = "readfirst: ready", "worker ready"
_PATIENCE = 180.0  # seconds until workers have loaded torch on a busy machine, or all processes have ended


class Node:
    """`readfirst up` and its processes."""

    def __init__(
        self, folder: Path, toml: str, environment: dict[str, str], before: Callable[[], None] = die_with_parent
    ) -> None:
        self._config, self._log = folder / "readfirst.toml", folder / "up.log"
        self._config.write_text(toml)
        self._environment, self._before = os.environ | environment, before
        self.starts = 0

    def start(self) -> None:
        """Start it; it need not be ready when this returns."""
        command = [sys.executable, "-m", "node", "up", "--config", str(self._config)]
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, env=self._environment,
                preexec_fn=self._before,  # noqa: PLW1509
            )  # fmt: skip
        self.starts += 1

    @property
    def said(self) -> str:
        """Since its last start."""
        return self._log.read_bytes()[self._begin :].decode(errors="replace")

    def await_ready(self, word: str = _READY) -> None:
        """Wait until it accepts associations; with `WORKING` until it analyses."""
        wait_until(lambda: word in self.said or self.process.poll() is not None, lambda: self.said, _PATIENCE)
        if self.process.poll() is not None:
            raise AssertionError(f"the node ended by itself: {self.said[-2000:]}")

    def await_working(self) -> None:
        """Wait until it analyses."""
        self.await_ready()
        self.await_ready(_WORKING)

    def kill(self) -> None:
        """End it as a power cut would; its children learn of it by themselves."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End it cleanly, so that nothing of it is left."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_PATIENCE)

    def children(self, word: str) -> list[int]:
        """Process IDs of all below the node's whose command has the word."""
        found, ahead = [], [self.process.pid]
        while ahead:
            children = _children(ahead.pop())
            found += [child for child in children if word in _command(child)]
            ahead += children
        return sorted(found)


class House:
    """What runs during a fault. Everything ends on leaving.

    Parameters
    ----------
    data
        The node's data folder; default: below `folder`.
    queue
        URL of a Redis that the node does not start itself.
    busy
        Seconds that SQLite waits for a lock; default: the product's own.
    tables
        Further tables of the configuration, or keys of its tables.
    before, environment
        Run in the node's process before it starts, and variables that it has.
    """

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        queue: str = "",
        busy: float | None = None,
        tables: Mapping[str, Mapping[str, object]] | None = None,
        before: Callable[[], None] = die_with_parent,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data, self.port = folder, data or folder / "var", free_port()
        self.data.mkdir(exist_ok=True)
        studies.write_package(folder / "models")
        self.patients = Patients(folder / "images")
        self.archive, self.clock = Archive(folder / "archive", self.port), Clock(folder)
        self.ris = Hl7Receiver(answering("AA"), port=free_port())
        self.sender = Sender(self.port)
        self._url = f"sqlite:///{self.data / 'ledger.sqlite'}"
        toml = self._toml(self._url + (f"?timeout={busy:g}" if busy else ""), queue, tables or {})
        self.node = Node(folder, toml, self.clock.environment | dict(environment or {}), before)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.ris.running())
            self.archive.start()
            stack.callback(self.archive.kill)
            self.node.start()
            stack.callback(self.node.kill)
            self.node.await_working()
            stack.callback(self.node.end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stack.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens."""
        return "127.0.0.1", self.port

    def ledger(self) -> Ledger:
        """The node's ledger, to look into."""
        return Ledger(self._url)

    def stream(self, least: int = 0, pause: float = 0.2) -> Stream:
        """Studies that come one after the other."""
        return Stream(self.sender, self.patients.next, least, pause)

    def restart(self) -> None:
        """Start the node after it was killed, and wait until it accepts associations."""
        self.node.start()
        self.node.await_ready()

    def _toml(self, url: str, queue: str, more: Mapping[str, Mapping[str, object]]) -> str:
        node = {"port": self.port, "data": f'"{self.data}"', "quiet_seconds": QUIET, "network_timeout": IDLE}
        tables: dict[str, dict[str, object]] = {
            "node": node | {"min_free_mb": 0},
            "database": {"url": f'"{url}"'},
            "queue": {"url": f'"{queue}"'},
            "web": {"port": 0},
            "peers.scanner": {"ae_title": f'"{sender.NAME}"', "host": '"127.0.0.1"', "send": '["images"]'},
            f"peers.{RECEIVER}": {
                "ae_title": f'"{archive.NAME}"', "host": '"127.0.0.1"', "port": self.archive.port,
                "receive": '["results"]', "query": "true",
            },
            "commitment": {"answer_seconds": ANSWER, "stay_seconds": 0.5},
            "models": {"packages": f'["{studies.PACKAGE}"]', "folder": f'"{self.folder / "models"}"'},
            "worklist": {"sinks": '["ups", "hl7"]'},
            "worklist.hl7": {"host": '"127.0.0.1"', "port": self.ris.port},
            "worklist.policy": {"alerts_an_hour": 0, "stuck_studies": 1000000, "unproven_may_raise": '["*"]'},
        }  # fmt: skip
        tables |= {name: tables.get(name, {}) | dict(keys) for name, keys in more.items()}
        lines = [
            line for name, keys in tables.items() for line in (f"[{name}]", *(f"{k} = {v}" for k, v in keys.items()))
        ]
        rule = '[[worklist.policy.rules]]\nfinding = "*"\npriority = "HIGH"\n'
        return "\n".join([*lines, rule])


def uids(sent: Iterable[Study]) -> set[str]:
    """Study Instance UIDs."""
    return {image.study_instance_uid for study in sent for image in study}


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
