"""The lines of the worklist page: filtered, searched, most urgent first, each with the findings of the models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, func, or_, select

from node.ledger.tables import FINDING, STUDY, WORK_ITEM
from node.settings import Policy
from node.worklist.items.priority import Priority
from node.worklist.items.rows import read, reading_order
from node.worklist.items.states import FINAL, State
from node.worklist.reading.work_items import Row, as_row
from node.worklist.triage.decisions import silent_by_study

STEP = 100  # lines that a page shows at first, and more at each "show more"
STATES = {  # what is offered to look at: title, states
    "open": ("To read", (State.SCHEDULED, State.IN_PROGRESS)),
    "waiting": ("Not claimed", (State.SCHEDULED,)),
    "claimed": ("Claimed", (State.IN_PROGRESS,)),
    "ended": ("Ended", FINAL),
}
_PIECES = re.compile(  # of a casefolded word: runs of ASCII and ß (for ss), and single characters beyond them
    r"(?<![^\x00-\x7fß])[!-<>-~ß]+(?![^\x00-\x7fß])"  # not across =, between the groups of a name, nor what touches
    r"|[^\x00-\x7fß]"  # another character: both together may have been one (İ)
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader wants to see."""

    words: str = ""
    priority: str = ""  # empty: all
    states: str = "open"
    limit: int = STEP


@dataclass(frozen=True, slots=True)
class PresentFinding:
    """A finding above the threshold of its model."""

    label: str
    quantity: str  # "probability" or "score"
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the work item, the state of its study's analysis (empty: unknown study), the present findings.

    Findings of packages in shadow mode are left out; `silent`: there is such a package.
    """

    row: Row
    analysis: str
    present: tuple[PresentFinding, ...]
    packages: tuple[str, ...]  # models that analysed the study
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines, whether there are more, and how many open work items there are of each priority."""

    lines: tuple[Line, ...]
    more: bool
    counts: dict[str, int]


def find(connection: Connection, chosen: Filter, policy: Policy | None = None, now: float = 0.0) -> Listing:
    """The lines that a reader wants to see, in the order of `items.listing`."""
    query = select(WORK_ITEM.c.sop_instance_uid).where(WORK_ITEM.c.state.in_(STATES[chosen.states][1]))
    newest = (WORK_ITEM.c.updated_at.desc(),)
    query = query.order_by(*(newest if chosen.states == "ended" else reading_order(connection, policy, now)))
    if chosen.priority:
        query = query.where(WORK_ITEM.c.priority == chosen.priority)
    words = chosen.words.casefold().split()
    query = query.where(*_may_match(words)) if words else query.limit(chosen.limit + 1)
    rows = _rows(connection, connection.execute(query).scalars().all())
    found = tuple(islice((row for row in rows if _matches(row, words)), chosen.limit + 1))
    lines = _lines(connection, found[: chosen.limit])
    return Listing(lines, len(found) > chosen.limit, _counts(connection))


def _rows(connection: Connection, uids: Sequence[str]) -> Iterator[Row]:
    """The rows of these work items in this order, read in portions: most searches end long before the last."""
    for start in range(0, len(uids), STEP):
        portion = uids[start : start + STEP]
        query = select(WORK_ITEM).where(WORK_ITEM.c.sop_instance_uid.in_(portion))
        found = {row["sop_instance_uid"]: row for row in connection.execute(query).mappings()}
        yield from (as_row(read(found[uid])) for uid in portion if uid in found)


def _may_match(words: Iterable[str]) -> list[ColumnElement[bool]]:
    """What the database can rule out: a column must hold every piece of a word, as JSON writes it."""
    attributes = cast(WORK_ITEM.c.attributes, Text)
    return [
        or_(_holds(attributes, ways, _as_json), _holds(WORK_ITEM.c.priority_reason, ways, str))
        for ways in ([_ways(piece) for piece in _pieces(word)] for word in words)
        if ways
    ]


def _pieces(word: str) -> list[str]:
    return sorted(set(_PIECES.findall(word.strip(",;").replace("ss", "ß"))))


def _holds(
    column: ColumnElement[str], pieces: Iterable[Iterable[str]], write: Callable[[str], str]
) -> ColumnElement[bool]:
    return and_(*(or_(*(column.ilike(_pattern(write(way)), "/") for way in ways)) for ways in pieces))


def _ways(piece: str) -> list[str]:
    """How a piece of a casefolded word may have been written; LIKE itself passes over the case of A to Z alone."""
    written = dict.fromkeys(piece.replace("ß", sharp) for sharp in ("ss", "ß", "ẞ"))
    return [*written, *_unfolded().get(piece, ())]


@cache
def _unfolded() -> dict[str, list[str]]:
    """Characters beyond ASCII to those whose casefold holds them."""
    found: dict[str, list[str]] = {}
    for character in map(chr, range(0x80, 0x20000)):  # none above has a case
        for folded in character.casefold():
            if folded != character and not folded.isascii():
                found.setdefault(folded, []).append(character)
    return found


def _as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _pattern(text: str) -> str:
    return "%" + re.sub("[%_/]", r"/\g<0>", text) + "%"


def _matches(row: Row, words: Sequence[str]) -> bool:
    fields = (row.patient_name, row.patient_id, row.accession_number, row.label, row.reason, row.study_instance_uid)
    text = " ".join(fields).casefold()
    return all(word.strip(",;") in text for word in words)


def _lines(connection: Connection, rows: Sequence[Row]) -> tuple[Line, ...]:
    uids = {row.study_instance_uid for row in rows if row.study_instance_uid}
    states = select(STUDY.c.study_instance_uid, STUDY.c.state).where(STUDY.c.study_instance_uid.in_(uids))
    analyses = {row.study_instance_uid: row.state for row in connection.execute(states)}
    present: dict[str, list[PresentFinding]] = {}
    packages: dict[str, dict[str, None]] = {}
    findings = select(FINDING).where(FINDING.c.study_instance_uid.in_(uids)).order_by(FINDING.c.probability.desc())
    found = connection.execute(findings).mappings().all()
    silent = silent_by_study(connection, {row["study_instance_uid"] for row in found})
    for row in found:
        uid, package = row["study_instance_uid"], row["package"]
        if package in silent.get(uid, ()):
            continue
        packages.setdefault(uid, {})[package] = None
        if row["present"]:
            one = PresentFinding(row["label"], row["quantity"], row["probability"], row["operating_point"])
            present.setdefault(uid, []).append(one)
    return tuple(
        Line(
            row,
            analyses.get(row.study_instance_uid, ""),
            tuple(present.get(row.study_instance_uid, ())),
            tuple(packages.get(row.study_instance_uid, ())),
            silent=bool(silent.get(row.study_instance_uid)),
        )
        for row in rows
    )


def _counts(connection: Connection) -> dict[str, int]:
    query = select(WORK_ITEM.c.priority, func.count().label("items")).where(WORK_ITEM.c.state.not_in(FINAL))
    counts = {row.priority: row.items for row in connection.execute(query.group_by(WORK_ITEM.c.priority))}
    return {priority.value: counts.get(priority.value, 0) for priority in Priority}
