"""Notices to worklist sinks, and imaging orders that HL7 senders have told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_notices_and_orders"
down_revision = "0003_decisions"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index(op.f("ix_work_item_updated_at"), "work_item", ["updated_at"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("control_id", sa.String(length=20), nullable=False),
        sa.Column("sink", sa.String(length=16), nullable=False),
        sa.Column("work_item_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("decided_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("acknowledgement", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("control_id", name=op.f("uq_notice_control_id")),
    )
    for columns in (["sink", "state", "next_attempt_at"], ["work_item_uid", "sink"], ["study_instance_uid"]):
        op.create_index(op.f(f"ix_notice_{'_'.join(columns)}"), "notice", columns, unique=False)
    op.create_table(
        "imaging_order",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("placer_number", sa.String(length=250), nullable=False),
        sa.Column("filler_number", sa.String(length=250), nullable=False),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.String(length=8), nullable=False),
        sa.Column("ordered_as", sa.String(length=20), nullable=False),
        sa.Column("canceled", sa.Boolean(), nullable=False),
        sa.Column("sender", sa.String(length=255), nullable=False),
        sa.Column("control_id", sa.String(length=199), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imaging_order")),
        sa.UniqueConstraint(
            "placer_number", "filler_number", "accession_number", "study_instance_uid",
            name=op.f("uq_imaging_order_placer_number_filler_number_accession_number_study_instance_uid"),
        ),
    )  # fmt: skip
    for column in ("accession_number", "study_instance_uid"):
        op.create_index(op.f(f"ix_imaging_order_{column}"), "imaging_order", [column], unique=False)
