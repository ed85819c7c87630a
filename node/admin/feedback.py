"""What readers say of findings: agree or disagree, kept in the ledger and exported as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import IO, Any

from sqlalchemy import ColumnElement, Connection, Table, and_, insert, select

from node.admin.queries import moment
from node.ledger.engine import note
from node.ledger.tables import FEEDBACK, FINDING

COLUMNS = (
    "study_instance_uid", "generation", "package", "label", "quantity", "probability", "operating_point", "present",
    "verdict", "at",
)  # fmt: skip
_COPIED = COLUMNS[:-2]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


class Verdict(StrEnum):
    """A reader's word on a finding."""

    AGREE = "agree"
    DISAGREE = "disagree"


@dataclass(frozen=True, slots=True)
class Seen:
    """The finding that a reader looked at; a label says another thing in each generation of a study's analysis."""

    study_instance_uid: str
    generation: int
    package: str
    label: str


def give(connection: Connection, seen: Seen, verdict: Verdict | None, now: float) -> bool:
    """Keep a verdict on a finding in place of an earlier one; None takes it back.

    False where there is no such finding (any more): the page that was looked at is out of date.
    """
    row = connection.execute(select(FINDING).where(_is(FINDING, seen))).mappings().first()
    if row is None:
        return False
    connection.execute(FEEDBACK.delete().where(_is(FEEDBACK, seen)))
    if verdict:
        copied = {key: row[key] for key in _COPIED}
        connection.execute(insert(FEEDBACK).values(**copied, verdict=verdict.value, at=now))
    said = f"{seen.label} ({seen.package}): {verdict or 'verdict taken back'}"
    note(connection, seen.study_instance_uid, now, "feedback", said)
    return True


def of_study(connection: Connection, study_instance_uid: str) -> dict[tuple[str, str, int], Verdict]:
    """(package, label, generation) to verdict."""
    rows = connection.execute(select(FEEDBACK).where(FEEDBACK.c.study_instance_uid == study_instance_uid)).mappings()
    return {(row["package"], row["label"], row["generation"]): Verdict(row["verdict"]) for row in rows}


def export(connection: Connection, file: IO[str]) -> int:
    """Write all verdicts as CSV with a line of column names, oldest first; returns how many."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for count, row in enumerate(_rows(connection), start=1):  # noqa: B007
        writer.writerow([_cell(row[key]) for key in COLUMNS])
    return count


def _rows(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(FEEDBACK).order_by(FEEDBACK.c.at, FEEDBACK.c.id)).mappings():
        yield dict(row) | {"at": moment(row["at"]), "present": "yes" if row["present"] else "no"}


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _is(table: Table, seen: Seen) -> ColumnElement[bool]:
    return and_(*(table.c[key] == value for key, value in asdict(seen).items()))
