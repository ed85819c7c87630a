"""Reader feedback on findings: agree or disagree, kept in the ledger and exported as CSV."""

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


class Feedback(StrEnum):
    """Whether a reader agrees with a finding."""

    AGREE = "agree"
    DISAGREE = "disagree"


@dataclass(frozen=True, slots=True)
class FindingKey:
    """The finding that a reader looked at; each generation of a study's analysis has its own of the same label."""

    study_instance_uid: str
    generation: int
    package: str
    label: str


def record(connection: Connection, key: FindingKey, feedback: Feedback | None, now: float) -> bool:
    """Record feedback on a finding in place of an earlier one; None removes it.

    False where there is no such finding (any more): the page that was looked at is out of date.
    """
    row = connection.execute(select(FINDING).where(_is(FINDING, key))).mappings().first()
    if row is None:
        return False
    connection.execute(FEEDBACK.delete().where(_is(FEEDBACK, key)))
    if feedback:
        copied = {name: row[name] for name in _COPIED}
        connection.execute(insert(FEEDBACK).values(**copied, verdict=feedback.value, at=now))
    note(connection, key.study_instance_uid, now, "feedback", f"{key.label} ({key.package}): {feedback or 'removed'}")
    return True


def export(connection: Connection, file: IO[str]) -> int:
    """Write all feedback as CSV with a line of column names, oldest first; returns how many."""
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


def _is(table: Table, key: FindingKey) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in asdict(key).items()))
