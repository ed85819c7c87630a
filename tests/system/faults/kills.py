"""Processes that are killed (SIGKILL) at random instants while studies stream in."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from tests.system.faults.accounts import Accounts, count
from tests.system.faults.fault import Fault, Ground
from tests.system.faults.house import House
from tests.waiting import wait_until

LEAST = 20  # studies
_TRANSFER, _WAY = 0.15, 3.0  # seconds: about one study's transfer, and its whole way to the PACS


def node(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """`readfirst up` itself; the rest ends with it, or goes on until it notices."""

    def kill(house: House) -> None:
        house.node.kill()
        house.restart()

    return _killed(ground, tries, rng, kill, _WAY)


def worker(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """Any process of the two workers: master, and its child that does the work."""
    return _killed(ground, tries, rng, lambda house: _kill_one(house, rng, "node worker"), _WAY)


def redis(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """The embedded Redis."""
    return _killed(ground, tries, rng, lambda house: _kill_one(house, rng, "redis-server"), _WAY / 2)


def _killed(ground: Ground, tries: int, rng: random.Random, kill: Callable[[House], None], way: float) -> Accounts:
    house = ground.house
    with house.stream(min(LEAST, 2 * tries), pause=1.0) as stream:
        for _ in range(tries):
            house.sender.await_answer()
            time.sleep(rng.uniform(0.0, rng.choice((_TRANSFER, way))))
            kill(house)
    house.node.await_working()
    return count(house, stream.studies)


def _kill_one(house: House, rng: random.Random, word: str) -> None:
    wait_until(lambda: house.node.children(word), f"there is no {word}")
    with suppress(ProcessLookupError):
        os.kill(rng.choice(house.node.children(word)), signal.SIGKILL)


_HALF = "half of the seeded instants within a transfer, half within a study's whole way"
FAULTS = (
    Fault("kill -9 of the node", f"`readfirst up` is killed and started again; {_HALF}", node, 50),
    Fault("kill -9 of a worker", f"a random process of the workers; {_HALF}", worker, 50),
    Fault("kill -9 of Redis", f"the embedded Redis; {_HALF}", redis, 50),
)
