"""The records of finished calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_records",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_call_records_call_id"), primary_key=True),
        sa.Column("ended_by", sa.Text, nullable=False),
        sa.Column("unit_seconds", sa.Float, nullable=False),
        sa.Column("worker", sa.Integer),
        sa.Column("mos", sa.Float),
        sa.Column("quality", sa.JSON, nullable=False),
        sa.Column("flags", sa.JSON, nullable=False),
        sa.Column("transports", sa.JSON, nullable=False),
    )
