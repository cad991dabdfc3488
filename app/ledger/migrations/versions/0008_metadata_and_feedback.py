"""What a back end keeps with a call, searched in the order of the lists; and what parties think of their calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ENDED = sa.text("end_reason IS NOT NULL")


def upgrade() -> None:
    op.add_column("calls", sa.Column("metadata", sa.JSON))
    of_reason = ["end_reason", "created_at_ms", "id"]
    op.create_index("ix_calls_end_reason", "calls", of_reason, sqlite_where=ENDED, postgresql_where=ENDED)
    op.create_table(
        "call_metadata",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("created_at_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "call_id", sa.Text, sa.ForeignKey("calls.id", name=op.f("fk_call_metadata_call_id")), primary_key=True
        ),
    )
    op.create_index("ix_call_metadata_call", "call_metadata", ["call_id"])
    op.create_table(
        "call_feedback",
        sa.Column(
            "call_id", sa.Text, sa.ForeignKey("calls.id", name=op.f("fk_call_feedback_call_id")), primary_key=True
        ),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_call_feedback_score")),
    )
