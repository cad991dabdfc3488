"""Tariffs of calls and of otomos. Those of before have none, and keep their price for each unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("calls", "rates"):
        op.add_column(table, sa.Column("tariff", sa.JSON))
