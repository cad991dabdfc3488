"""Which calls are recorded, and the files that come of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

EXPIRES = sa.text("expires_at_ms IS NOT NULL")
GROWS = sa.text("state = 'recording'")


def upgrade() -> None:
    op.create_table(
        "call_recordings",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.CheckConstraint("state IN ('recording', 'paused', 'stopped')", name=op.f("ck_call_recordings_state")),
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_recordings_call_id"), nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("began_at_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("told_failed", sa.Boolean, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.UniqueConstraint("call_id", "role", "part", name="uq_recordings_part"),
        sa.CheckConstraint("role IN ('user', 'otomo')", name=op.f("ck_recordings_role")),
        sa.CheckConstraint("state IN ('recording', 'finished', 'stored', 'failed')", name=op.f("ck_recordings_state")),
    )
    op.create_index(
        "ix_recordings_expiry", "recordings", ["expires_at_ms"], sqlite_where=EXPIRES, postgresql_where=EXPIRES
    )
    op.create_index("ix_recordings_growing", "recordings", ["call_id"], sqlite_where=GROWS, postgresql_where=GROWS)
