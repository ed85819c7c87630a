"""Readers' feedback on findings: agree or disagree, kept in the ledger and exported as CSV."""

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


class Agreement(StrEnum):
    """Of a reader with a finding."""

    AGREE = "agree"
    DISAGREE = "disagree"


@dataclass(frozen=True, slots=True)
class FindingKey:
    """Which finding; a label is another finding in each generation of a study's analysis."""

    study_instance_uid: str
    generation: int
    package: str
    label: str


def record(connection: Connection, key: FindingKey, agreement: Agreement | None, now: float) -> bool:
    """Keep a reader's agreement with a finding in place of an earlier one; None withdraws it.

    False where there is no such finding (any more): the page that the reader has is out of date.
    """
    row = connection.execute(select(FINDING).where(_is(FINDING, key))).mappings().first()
    if row is None:
        return False
    connection.execute(FEEDBACK.delete().where(_is(FEEDBACK, key)))
    if agreement:
        copied = {column: row[column] for column in _COPIED}
        connection.execute(insert(FEEDBACK).values(**copied, verdict=agreement.value, at=now))
    detail = f"{key.label} ({key.package}): {agreement or 'feedback withdrawn'}"
    note(connection, key.study_instance_uid, now, "feedback", detail)
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
    return and_(*(table.c[column] == value for column, value in asdict(key).items()))
