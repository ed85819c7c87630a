"""Storage commitment: the transaction under which a peer was asked, and what senders ask us."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_commitment"
down_revision = "0005_feedback_and_pictures"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("outbox", sa.Column("transaction_uid", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_outbox_transaction_uid"), "outbox", ["transaction_uid"], unique=False)
    op.create_table(
        "commitment_request",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.JSON(), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
    )
    op.create_index(
        op.f("ix_commitment_request_ae_title_transaction_uid"), "commitment_request", ["ae_title", "transaction_uid"],
        unique=False,
    )  # fmt: skip
    op.create_index(
        op.f("ix_commitment_request_next_attempt_at"), "commitment_request", ["next_attempt_at"], unique=False
    )
