"""The spool of audit messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_audit"
down_revision = "0006_commitment"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_message",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("sink", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("warning", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_message")),
    )
    op.create_index(op.f("ix_audit_message_sink_id"), "audit_message", ["sink", "id"], unique=False)
    op.create_table(
        "audited",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.String(length=16), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "calling_ae_title", name=op.f("pk_audited")),
    )
