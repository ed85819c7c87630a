"""The counting after a fault: what was answered Success is there as it was sent, analysed once, delivered once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.sql.selectable import NamedFromClause

from node.durable import PART
from node.entities import JobState, StudyState
from node.ledger.tables import EVENT, INSTANCE, RESULT, STUDY, WORK_ITEM
from node.receiving.store import dataset_sha256
from node.sending.deliveries import DELIVERY
from node.worklist.sinks.notices import NOTICE
from tests.node.worklist.sinks.phantoms import control_id
from tests.system.faults.house import RECEIVER, House, uids
from tests.system.faults.studies import Image, Study

_ENDED = {StudyState.ANALYSED, StudyState.NOT_ANALYSED, StudyState.FAILED}
_NOTHING_LEFT = {JobState.DELIVERED, JobState.SUPERSEDED, JobState.STANDBY, JobState.REFUSED}
_OPEN = {JobState.PENDING, JobState.STORED}
_PATIENCE = 180.0  # seconds: three leases of 20 s, and pauses of 5, 15 and 45 s before deliveries


@dataclass
class Accounts:
    """How many instances were answered Success, and a sentence for each thing that is wrong."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicated or self.torn)

    @property
    def wrongs(self) -> Iterator[str]:
        """What is wrong."""
        for name in ("lost", "duplicated", "torn"):
            yield from (f"{name}: {sentence}" for sentence in getattr(self, name))


@dataclass(frozen=True)
class Held:
    """What the node has of some studies."""

    data: Path
    rows: Mapping[str, list[RowMapping]]
    """By table."""

    def of(self, table: NamedFromClause, study: str) -> list[RowMapping]:
        return [row for row in self.rows[table.name] if row["study_instance_uid"] == study]


def settle(house: House, sent: Collection[Study], seconds: float = _PATIENCE) -> None:
    """Wait until the node has done all that it has to do for these studies, or has ended none for so many seconds."""
    ledger, left, deadline = house.ledger(), len(sent) + 1, 0.0
    try:
        while left:
            with ledger.read() as connection:
                held = _read(connection, house.data, uids(sent))
            waiting = sum(_waiting(held, study) for study in uids(sent))
            if waiting < left:
                left, deadline = waiting, time.monotonic() + seconds
            elif time.monotonic() > deadline:
                return
            time.sleep(0.1)
    finally:
        ledger.close()


def count(house: House, sent: Collection[Study]) -> Accounts:
    """Settle, then compare what was sent, what the node has, and what PACS and RIS got."""
    settle(house, sent)
    wanted = uids(sent)
    answered = {image for image in house.sender.answered if image.study_instance_uid in wanted}
    accounts = Accounts(len(answered))
    ledger = house.ledger()
    try:
        with ledger.read() as connection:
            held = _read(connection, house.data, wanted)
    finally:
        ledger.close()
    _count_instances(accounts, held, answered)
    _count_files(accounts, held, sent)
    told = Counter({control_id(message): 1 for message in house.ris.messages})
    archived, vouched = house.archive.held(), house.archive.vouched()
    for study in sorted(wanted):
        _count_analyses(accounts, held, study)
        _count_results(accounts, held, study, archived, vouched)
        _count_worklist(accounts, held, study, told)
    return accounts


def _read(connection: Connection, data: Path, wanted: Collection[str]) -> Held:
    rows = {}
    for table in (STUDY, INSTANCE, EVENT, RESULT, DELIVERY, WORK_ITEM, NOTICE):
        query = select(table).where(table.c.study_instance_uid.in_(wanted))
        query = query.where(DELIVERY.c.peer == RECEIVER) if table is DELIVERY else query
        rows[table.name] = list(connection.execute(query).mappings())
    return Held(data, rows)


def _waiting(held: Held, study: str) -> bool:
    studies = held.of(STUDY, study)
    if not studies or studies[0]["state"] not in _ENDED:
        return True
    if studies[0]["state"] != StudyState.ANALYSED:
        return False
    notices = held.of(NOTICE, study)
    deliveries = held.of(DELIVERY, study)
    return not notices or not deliveries or any(row["state"] in _OPEN for row in (*notices, *deliveries))


def _count_instances(accounts: Accounts, held: Held, answered: Iterable[Image]) -> None:
    rows: dict[tuple[str, str], list[RowMapping]] = {}
    for row in held.rows[INSTANCE.name]:
        rows.setdefault((row["sop_instance_uid"], row["sha256"]), []).append(row)
    for image in answered:
        found = rows.get((image.sop_instance_uid, image.sha256), [])
        if not found:
            accounts.lost.append(f"{image.sop_instance_uid} was answered Success and is not in the ledger")
        for row in found[:1]:
            path = held.data / row["path"]
            if not path.is_file():
                accounts.lost.append(f"{image.sop_instance_uid} is in the ledger and its file is gone")
            elif dataset_sha256(path) != image.sha256 or row["size"] != len(image.data_set):
                accounts.torn.append(f"{path.name} is not what was sent")
    accounts.duplicated += [f"{uid} has {len(found)} rows" for (uid, _), found in rows.items() if len(found) > 1]


def _count_files(accounts: Accounts, held: Held, sent: Iterable[Study]) -> None:
    """Also what was never answered must not lie there torn, under a name."""
    contents = {image.sha256 for study in sent for image in study}
    contents |= {row["sha256"] for row in held.rows[INSTANCE.name]}
    for study in uids(sent):
        for path in (held.data / "instances" / study).rglob("*.dcm"):
            if _sha256(path) not in contents:
                accounts.torn.append(f"{path.name} is nothing that was sent")


def _count_analyses(accounts: Accounts, held: Held, study: str) -> None:
    rows = held.of(STUDY, study)
    if not rows or rows[0]["state"] != StudyState.ANALYSED:
        state = f"{rows[0]['state']}: {rows[0]['reason']}" if rows else "unknown"
        accounts.lost.append(f"study {study} is {state}")
        return
    ended = Counter(row["detail"] for row in held.of(EVENT, study) if row["kind"] == StudyState.ANALYSED)
    accounts.duplicated += [f"study {study}: {detail} analysed {n} times" for detail, n in ended.items() if n > 1]
    grown = {row["generation"] for row in held.of(INSTANCE, study) if not row["conflict"]}
    if rows[0]["generation"] not in grown:
        accounts.duplicated.append(f"study {study}: no instance opened generation {rows[0]['generation']}")


def _count_results(
    accounts: Accounts, held: Held, study: str, archived: Mapping[str, list[str]], vouched: Collection[str]
) -> None:
    results = {row["sop_instance_uid"]: row for row in held.of(RESULT, study)}
    kinds = Counter((row["generation"], row["package"], row["kind"]) for row in results.values())
    accounts.duplicated += [f"study {study} has {n} objects {kind}" for kind, n in kinds.items() if n > 1]
    for row in held.of(DELIVERY, study):
        uid = row["sop_instance_uid"]
        result = results[uid]
        if row["state"] not in _NOTHING_LEFT:
            accounts.lost.append(f"study {study}: {result['kind']} is {row['state']}: {row['last_error']}")
        if row["state"] == JobState.DELIVERED and uid not in archived:
            accounts.lost.append(f"study {study}: {result['kind']} is said to be delivered, and the PACS has it not")
        if row["state"] == JobState.DELIVERED and uid not in vouched:
            accounts.lost.append(f"study {study}: {result['kind']} is said to be delivered without the PACS's word")
        contents = archived.get(uid, [])
        if len(contents) > 1:
            accounts.duplicated.append(f"study {study}: {result['kind']} reached the PACS in {len(contents)} contents")
        elif contents and _sha256(held.data / result["path"]) != contents[0]:
            accounts.torn.append(f"study {study}: {result['kind']} is another in the PACS than here")
    if not any(row["state"] == JobState.DELIVERED for row in held.of(DELIVERY, study)):
        accounts.lost.append(f"study {study}: nothing was delivered")


def _count_worklist(accounts: Accounts, held: Held, study: str, told: Mapping[str, int]) -> None:
    for table, name in ((WORK_ITEM, "work item"), (NOTICE, "notice")):
        rows = held.of(table, study)
        if not rows:
            accounts.lost.append(f"study {study} has no {name}")
        if len(rows) > 1:
            accounts.duplicated.append(f"study {study} has {len(rows)} of {name}")
    for row in held.of(NOTICE, study):
        if row["state"] != JobState.DELIVERED or not told.get(row["control_id"]):
            accounts.lost.append(f"study {study}: the RIS was not told; its notice is {row['state']}")


def _sha256(path: Path) -> str:
    try:
        return dataset_sha256(path)
    except Exception as error:  # noqa: BLE001  # torn so that it has no Data Set
        return f"unreadable: {error}"


def parts(house: House) -> list[str]:
    """What lies about of instances that were never whole."""
    return [path.name for path in (house.data / "incoming").glob(f"*{PART}")]
