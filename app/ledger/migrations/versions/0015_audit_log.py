"""What admins did: who, whom or what, when and why; and in which live calls they listen or speak."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("admin_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("role", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("details", sa.JSON),
        sa.CheckConstraint("(role IS NULL) = (user_id IS NULL)", name=op.f("ck_audit_log_person")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at_ms", "id"])
    for name, column in (("admin", "admin_id"), ("call", "call_id"), ("action", "action")):
        op.create_index(f"ix_audit_log_{name}", "audit_log", [column, "at_ms", "id"])
    op.create_table(
        "supervisions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("admin_id", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("whispers_to", sa.Text),
        sa.Column("began_at_ms", sa.BigInteger, nullable=False),
        sa.Column("token_until_ms", sa.BigInteger),
        sa.Column("token_issued_ms", sa.BigInteger),
        sa.UniqueConstraint("call_id", "admin_id", name="uq_supervisions_admin"),
        sa.CheckConstraint("mode IN ('listen', 'whisper', 'barge')", name=op.f("ck_supervisions_mode")),
        sa.CheckConstraint("(mode = 'whisper') = (whispers_to IS NOT NULL)", name=op.f("ck_supervisions_whisper")),
    )
