"""What retention needs of a study: whether it is pinned or committed to, which of its files are gone, and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_retention"
down_revision = "0013_raises_priority"
branch_labels = None
depends_on = None

_TIMES = ("committed_at", "images_deleted_at", "results_deleted_at", "pictures_deleted_at", "checked_at")


def upgrade() -> None:
    op.add_column("study", sa.Column("pinned", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("study", sa.Column("deleting", sa.String(length=16), server_default="", nullable=False))
    op.add_column("study", sa.Column("deletion", sa.JSON(), nullable=True))
    for name in _TIMES:
        op.add_column("study", sa.Column(name, sa.Float(), nullable=True))
    op.create_index(op.f("ix_study_finished_at"), "study", ["finished_at"], unique=False)
    op.create_index(op.f("ix_study_deleting"), "study", ["deleting"], unique=False)
    for part in ("images", "results", "pictures"):
        columns = [f"{part}_deleted_at", "finished_at"]
        op.create_index(op.f(f"ix_study_{part}_deleted_at_finished_at"), "study", columns, unique=False)
