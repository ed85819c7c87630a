"""What waits for somebody who does not come: rows with `ae_title` and `created_at` that are dropped in the end."""

from __future__ import annotations

from sqlalchemy import Connection, Table, delete, func, select


def has_older(connection: Connection, table: Table, before: float) -> bool:
    """Whether there is something for `expire` to drop."""
    query = select(table.c.id).where(table.c.created_at < before).limit(1)
    return connection.execute(query).first() is not None


def expire(connection: Connection, table: Table, before: float) -> dict[str, int]:
    """Drop what is there since before; AE title to number of those who missed something."""
    old = table.c.created_at < before
    query = select(table.c.ae_title, func.count().label("missed")).where(old).group_by(table.c.ae_title)
    missed = {row.ae_title: row.missed for row in connection.execute(query)}
    if missed:
        connection.execute(delete(table).where(old))
    return missed
