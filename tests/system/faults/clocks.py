"""The clock of the day is set while everything runs; monotonic clocks stay, as they do in a real machine."""

from __future__ import annotations

import os
import random
import signal
import time

from sqlalchemy import select

from node.entities import JobState
from node.sending.deliveries import DELIVERY
from tests.system.faults.accounts import Accounts, count
from tests.system.faults.fault import Fault, Ground
from tests.system.faults.house import House, uids
from tests.system.faults.studies import Study
from tests.waiting import wait_until

HOUR = 3600


def backwards(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """An hour back while studies come in, are analysed and wait; and a worker dies, whose lease then seems long."""
    house = ground.house
    with house.stream(2 * tries, pause=0.5) as stream:
        for number in range(tries):
            house.sender.await_answer()
            time.sleep(rng.uniform(0.0, 1.5))
            if number % 2 == 0:
                os.kill(rng.choice(house.node.children("worker --queue analyze")), signal.SIGKILL)
            house.clock.move(-HOUR)
    return count(house, stream.studies)


def forwards(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """An hour on: every lease seems to have ended."""
    house = ground.house
    with house.stream(2 * tries, pause=0.5) as stream:
        for _ in range(tries):
            house.sender.await_answer()
            time.sleep(rng.uniform(0.0, 1.5))
            house.clock.move(HOUR)
    return count(house, stream.studies)


def pacs_down(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """Results wait; an hour later the PACS is there, and they go out."""
    house = ground.house
    sent: list[Study] = []
    for _ in range(tries):
        house.archive.kill()
        study = house.patients.next()
        house.sender.push(study)
        sent.append(study)
        wait_until(lambda: _tried(house, study) >= 2, "nothing was tried twice")  # noqa: B023
        house.clock.move(HOUR)
        wait_until(lambda: _tried(house, study) >= 3, "an hour later nothing was tried")  # noqa: B023
        house.archive.start()
        house.clock.move(HOUR // 2)
    return count(house, sent)


def _tried(house: House, study: Study) -> int:
    """How often a delivery of the study was tried."""
    (uid,) = uids([study])
    ledger = house.ledger()
    try:
        with ledger.read() as connection:
            ours = DELIVERY.c.study_instance_uid == uid, DELIVERY.c.state == JobState.PENDING
            return max(connection.execute(select(DELIVERY.c.attempts).where(*ours)).scalars(), default=0)
    finally:
        ledger.close()


FAULTS = (
    Fault(
        "clock set back",
        "all processes' clocks an hour back at once (LD_PRELOAD), every other time a worker is killed",
        backwards,
    ),
    Fault("clock set on", "an hour on: all leases seem to have ended", forwards),
    Fault("PACS down for an hour", "its process is gone, the clock is set an hour on, it comes back", pacs_down, 2),
)
