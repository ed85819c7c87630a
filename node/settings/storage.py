"""The sections `[queue]`, `[database]` and `[retention]`: where state is kept, and how long."""

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


_KEPT = "`0`: kept for ever"


def _days(default: float, what: str) -> float:
    found: float = Field(default, ge=0.0, description=f"{what}; {_KEPT}")
    return found


def _gb(what: str) -> float:
    found: float = Field(
        0.0, ge=0.0, description=f"GiB; while {what} take more, the oldest go before their time; `0`: no limit"
    )
    return found


class Retention(Section):
    """When what is kept is deleted; studies that are in work, undelivered or pinned (`readfirst pin`) stay."""

    enabled: bool = Field(False, description="`true`: what is old enough goes by itself; without it nothing does")
    images_days: float = _days(
        14.0,
        "days after the analysis ended, the results were delivered and the last image was received, until a study's "
        "images go; where a peer has `query = true`, only if one shows each of them (C-FIND, level IMAGE), else they "
        "are looked at again every 6 hours",
    )
    committed_days: float = Field(
        30.0, ge=0.0,
        description="days after a sender's last request for storage commitment in which the images of its study stay, "
        "also where the disk is full; afterwards they go only if a peer with `query = true` shows them",
    )  # fmt: skip
    results_days: float = _days(90.0, "days after which the files of delivered results go; receivers keep theirs")
    pictures_days: float = _days(90.0, "days after which the pictures for the page go; the findings stay")
    quarantine_days: float = _days(
        90.0, "days after which objects that did not pass our own checks go, and the images of studies that failed"
    )
    rows_days: float = _days(
        400.0,
        "days after which the ledger forgets a study (findings, feedback, decisions, story) whose images, results and "
        "pictures are gone; its work items end by `worklist.policy.keep_days`",
    )
    messages_days: float = _days(90.0, "days after which notices that ended, and orders, are forgotten")
    reports_days: float = _days(0.0, "days after which received reports (`[reports]`) go")
    audit_days: float = _days(
        2192.0,
        "days (6 years) after which audit files that were put aside go; `audit.log` itself and messages that wait for "
        "a sink never do",
    )
    images_gb: float = _gb("images")
    results_gb: float = _gb("results")
    pictures_gb: float = _gb("pictures")
    quarantine_gb: float = _gb("quarantined objects")
    reserve_mb: int = Field(
        4096, ge=0,
        description="MiB above `node.min_free_mb`; with less free space deletion begins before its time, so that "
        "nothing has to be refused: images that are delivered (and shown, where a peer can be asked), then delivered "
        "results, pictures, quarantined objects, the oldest first; `0`: never before its time",
    )  # fmt: skip
