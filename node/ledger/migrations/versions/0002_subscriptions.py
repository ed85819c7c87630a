"""Subscriptions to work items and the event reports that wait for their subscribers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_subscriptions"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "global_subscription",
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("web", sa.Boolean(), nullable=False),
        sa.Column("filtered", sa.Boolean(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("matching_keys", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("ae_title", "web", "filtered", name=op.f("pk_global_subscription")),
    )
    op.create_table(
        "subscription",
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("web", sa.Boolean(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("filtered", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sop_instance_uid"], ["work_item.sop_instance_uid"], name=op.f("fk_subscription_sop_instance_uid")
        ),
        sa.PrimaryKeyConstraint("ae_title", "web", "sop_instance_uid", name=op.f("pk_subscription")),
    )
    op.create_index(op.f("ix_subscription_sop_instance_uid"), "subscription", ["sop_instance_uid"], unique=False)
    op.create_table(
        "event_report",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("web", sa.Boolean(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("event_type", sa.Integer(), nullable=False),
        sa.Column("information", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_report")),
    )
    op.create_index(op.f("ix_event_report_web_ae_title_id"), "event_report", ["web", "ae_title", "id"], unique=False)
    op.create_index(op.f("ix_event_report_created_at"), "event_report", ["created_at"], unique=False)
