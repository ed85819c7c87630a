"""One table of jobs instead of a table a queue; what waits and what is shown is carried over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008_jobs"
down_revision = "0007_audit"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 500  # rows


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("lane", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=True),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("notified_at", sa.Float(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("done_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("kind", "lane", "key", name=op.f("uq_job_kind_lane_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_job_kind_state_due_at"), "job", ["kind", "state", "due_at"], unique=False)
    op.create_index(op.f("ix_job_study_instance_uid_kind"), "job", ["study_instance_uid", "kind"], unique=False)
    op.create_index(op.f("ix_job_reference"), "job", ["reference"], unique=False)
    for table, make in _QUEUES.items():
        _carry_over(table, make)
        op.drop_table(table)
    _carry_over("study", _analysis)
    for column in ("rung_at", "rung_rank", "lease_until", "attempts"):
        op.drop_column("study", column)


def _carry_over(name: str, make: Callable[[sa.RowMapping], dict[str, Any]]) -> None:
    connection, tables = op.get_bind(), sa.MetaData()
    table, job = sa.Table(name, tables, autoload_with=connection), sa.Table("job", tables, autoload_with=connection)
    query = sa.select(table).order_by(*table.primary_key)
    if name == "study":
        query = query.where(table.c.state.in_(("queued", "analysing"))).order_by(None).order_by(table.c.queued_at)
    for rows in connection.execute(query).mappings().partitions(_AT_ONCE):
        connection.execute(sa.insert(job), [_EMPTY | make(row) for row in rows])


_EMPTY: dict[str, Any] = {
    "key": None, "study_instance_uid": "", "payload": {}, "reference": None, "state": "pending", "attempts": 0,
    "last_error": "", "lease_until": None, "notified_at": None, "done_at": None,
}  # fmt: skip


def _analysis(row: sa.RowMapping) -> dict[str, Any]:
    """With the lease of a worker that is gone: it ends, and the study is queued again."""
    rank = {} if row["rung_rank"] is None else {"notified_rank": row["rung_rank"]}
    return {
        "kind": "analysis", "lane": row["calling_ae_title"], "key": row["study_instance_uid"],
        "study_instance_uid": row["study_instance_uid"], "payload": {"generation": row["generation"], **rank},
        "due_at": row["queued_at"], "attempts": row["attempts"], "created_at": row["queued_at"],
        "lease_until": row["lease_until"] if row["state"] == "analysing" else None, "notified_at": row["rung_at"],
    }  # fmt: skip


def _delivery(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "kind": "delivery", "lane": row["peer"], "key": row["sop_instance_uid"],
        "study_instance_uid": row["study_instance_uid"], "reference": row["transaction_uid"], "state": row["state"],
        "due_at": row["next_attempt_at"], "attempts": row["attempts"], "last_error": row["last_error"],
        "created_at": row["delivered_at"] or row["next_attempt_at"], "done_at": row["delivered_at"],
    }  # fmt: skip


def _notice(row: sa.RowMapping) -> dict[str, Any]:
    known = row["state"] != "superseded"
    names = ("work_item_uid", "priority", "reason", "decided_at", "content", "acknowledgement")
    return {
        "kind": "notice", "lane": row["sink"], "key": f"{row['work_item_uid']}/{row['priority']}" if known else None,
        "study_instance_uid": row["study_instance_uid"], "payload": {name: row[name] for name in names},
        "reference": row["control_id"], "state": row["state"], "due_at": row["next_attempt_at"],
        "attempts": row["attempts"], "last_error": row["last_error"], "created_at": row["decided_at"],
        "done_at": row["delivered_at"],
    }  # fmt: skip


def _event_report(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "kind": "web event report" if row["web"] else "event report", "lane": row["ae_title"],
        "payload": {"event_type": row["event_type"], "information": row["information"]},
        "reference": row["sop_instance_uid"], "due_at": row["next_attempt_at"], "attempts": row["attempts"],
        "created_at": row["created_at"],
    }  # fmt: skip


def _commitment_request(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "kind": "commitment result", "lane": row["ae_title"], "reference": row["transaction_uid"],
        "payload": {"instances": row["instances"], "duplicate": row["duplicate"]}, "due_at": row["next_attempt_at"],
        "attempts": row["attempts"], "created_at": row["created_at"],
    }  # fmt: skip


def _audit_message(row: sa.RowMapping) -> dict[str, Any]:
    payload = {"at": row["at"], "message": row["message"], "warning": row["warning"]}
    return {
        "kind": "audit message",
        "lane": row["sink"],
        "payload": payload,
        "due_at": row["at"],
        "created_at": row["at"],
    }


_QUEUES = {
    "outbox": _delivery, "notice": _notice, "event_report": _event_report, "commitment_request": _commitment_request,
    "audit_message": _audit_message,
}  # fmt: skip
