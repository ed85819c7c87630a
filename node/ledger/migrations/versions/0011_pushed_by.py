"""Who made a work item, for the quota of a peer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_pushed_by"
down_revision = "0009_circuits_and_workers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("work_item", sa.Column("pushed_by", sa.String(length=64), server_default="", nullable=False))
    op.create_index(op.f("ix_work_item_pushed_by"), "work_item", ["pushed_by"], unique=False)
