"""An index of the lines of all statements by time, with all that their sums by day need."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_point_transactions_at", "point_transactions", ["at_ms", "unit_index", "kind", "amount"])
