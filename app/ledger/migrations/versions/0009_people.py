"""What is decided of people: bans, revoked tokens, otomos who are away, and who blocks whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("banned", sa.Boolean, nullable=False),
        sa.Column("until_ms", sa.BigInteger),
        sa.Column("ban_reason", sa.Text),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.Column("away", sa.Boolean, nullable=False),
    )
    op.create_table(
        "blocks",
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("other_role", sa.Text, primary_key=True),
        sa.Column("other_id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
