"""A PACS that does not do what it should."""

from __future__ import annotations

import random

from sqlalchemy import select

from node.entities import JobState
from node.ledger.tables import RESULT
from node.sending.deliveries import DELIVERY
from tests.system.faults.accounts import Accounts, count
from tests.system.faults.fault import Fault, Ground
from tests.system.faults.house import House, uids
from tests.system.faults.studies import Study
from tests.waiting import wait_until


def refuses_segmentations(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """It gets the rest, and what stands in for the Segmentation."""
    house = ground.house
    house.archive.behave("refuse-seg")
    with house.stream(tries) as stream:
        pass
    accounts = count(house, stream.studies)
    house.archive.behave("")
    for uid in sorted(uids(stream.studies)):
        states = _states(house, uid)
        if states.get("segmentation") != JobState.REFUSED or states.get("capture") != JobState.DELIVERED:
            accounts.lost.append(f"study {uid}: nothing stood in for the Segmentation: {states}")
    return accounts


def aborts(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """It aborts once an object is half there; later it takes all."""
    house, sent = ground.house, list[Study]()
    for _ in range(tries):
        before = house.archive.aborted()
        house.archive.behave("abort")
        sent.append(house.patients.next())
        house.sender.push(sent[-1])
        wait_until(lambda: house.archive.aborted() > before, "it never aborted")  # noqa: B023
        house.archive.behave("")
    return count(house, sent)


def _states(house: House, study: str) -> dict[str, str]:
    ledger = house.ledger()
    query = select(RESULT.c.kind, DELIVERY.c.state).join(
        DELIVERY, DELIVERY.c.sop_instance_uid == RESULT.c.sop_instance_uid
    )
    try:
        with ledger.read() as connection:
            rows = connection.execute(query.where(RESULT.c.study_instance_uid == study))
            return {row.kind: row.state for row in rows}
    finally:
        ledger.close()


FAULTS = (
    Fault(
        "PACS refuses Segmentation",
        "0x0122 for that class alone; the other objects and the stand-in are there",
        refuses_segmentations,
        5,
    ),
    Fault(
        "PACS aborts in an object",
        "A-ABORT after the first part of a Data Set; later each object is there once",
        aborts,
        5,
    ),
)
