"""One table of jobs instead of a table a queue; what waits and what is shown is carried over, leases are dropped."""

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
    op.alter_column("study", "rung_at", new_column_name="notified_at")
    op.alter_column("study", "rung_rank", new_column_name="notified_rank")


def _carry_over(name: str, make: Callable[[sa.RowMapping], dict[str, Any]]) -> None:
    connection, tables = op.get_bind(), sa.MetaData()
    table, job = sa.Table(name, tables, autoload_with=connection), sa.Table("job", tables, autoload_with=connection)
    for rows in connection.execute(sa.select(table).order_by(table.c.id)).mappings().partitions(_AT_ONCE):
        connection.execute(sa.insert(job), [_EMPTY | make(row) for row in rows])


_EMPTY: dict[str, Any] = {
    "key": None, "study_instance_uid": "", "payload": {}, "reference": None, "state": "pending", "attempts": 0,
    "last_error": "", "done_at": None,
}  # fmt: skip


def _delivery(row: sa.RowMapping) -> dict[str, Any]:
    return {
        "kind": "delivery", "lane": row["peer"], "key": row["sop_instance_uid"],
        "study_instance_uid": row["study_instance_uid"], "reference": row["transaction_uid"], "state": row["state"],
        "due_at": row["next_attempt_at"], "attempts": row["attempts"], "last_error": row["last_error"],
        "created_at": row["delivered_at"] or row["next_attempt_at"], "done_at": row["delivered_at"],
    }  # fmt: skip


_QUEUES = {"outbox": _delivery}
