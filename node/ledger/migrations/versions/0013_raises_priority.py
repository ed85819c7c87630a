"""Whether a package's card lets a finding raise the priority; those of before did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_raises_priority"
down_revision = "0012_headers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("finding", sa.Column("raises_priority", sa.Boolean(), server_default=sa.true(), nullable=False))
