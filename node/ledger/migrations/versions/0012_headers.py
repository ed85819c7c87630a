"""What the worklist and the audit trail need of received headers stands in the ledger; attempts to queue a study."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_headers"
down_revision = "0011_pushed_by"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study", sa.Column("header", sa.JSON(), nullable=True))
    op.add_column("study", sa.Column("queue_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("instance", sa.Column("patient_id", sa.Text(), server_default="", nullable=False))
