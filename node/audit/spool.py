"""Messages that a sink has not taken yet: rows of the ledger, one a message and a sink, oldest first.

There is no bound on them, for nothing may be lost; `waiting` tells how many there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, RowMapping, delete, func, insert, select

from node.ledger.tables import AUDIT_MESSAGE


def put(connection: Connection, sinks: Collection[str], messages: Collection[tuple[float, str, bool]]) -> None:
    """Keep messages (time, XML, whether it is a warning) for each of the sinks."""
    rows = [
        {"sink": sink, "at": at, "message": xml, "warning": warning} for at, xml, warning in messages for sink in sinks
    ]
    if rows:
        connection.execute(insert(AUDIT_MESSAGE), rows)


def oldest(connection: Connection, sink: str, most: int) -> Sequence[RowMapping]:
    """The messages that the sink is to get next."""
    query = select(AUDIT_MESSAGE).where(AUDIT_MESSAGE.c.sink == sink)
    return connection.execute(query.order_by(AUDIT_MESSAGE.c.id).limit(most)).mappings().all()


def drop(connection: Connection, ids: Collection[int]) -> None:
    """The sink has them."""
    connection.execute(delete(AUDIT_MESSAGE).where(AUDIT_MESSAGE.c.id.in_(ids)))


def waiting(connection: Connection) -> dict[str, int]:
    """How many messages wait, by sink."""
    query = select(AUDIT_MESSAGE.c.sink, func.count().label("messages")).group_by(AUDIT_MESSAGE.c.sink)
    return {row.sink: row.messages for row in connection.execute(query)}
