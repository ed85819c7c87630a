"""The sections `[queue]` and `[database]`: where the node keeps its queue and its ledger."""

from __future__ import annotations

from pydantic import Field

from node.settings.base import Section


class Queue(Section):
    """The message queue between node and workers."""

    url: str = Field(
        "",
        description="a Redis: `redis://…`, `rediss://…`, `redis+socket:///path`; none: the embedded Redis of "
        "`readfirst up`",
    )


class Database(Section):
    """The ledger."""

    url: str = Field(
        "",
        description="a URL that SQLAlchemy takes; PostgreSQL: `postgresql+psycopg://…` with the extra `postgres`; "
        "none: SQLite in `node.data`, which waits 30 s for a lock, or as long as `?timeout=` says",
    )
