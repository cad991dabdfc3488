"""The nodes of a cluster: who they are, where they listen for one another, and when each was last heard of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("incarnation", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("protocol", sa.Integer, nullable=False),
        sa.Column("config_hash", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("beat_ms", sa.BigInteger, nullable=False),
        sa.Column("steady_ms", sa.BigInteger, nullable=False),
        sa.Column("stress", sa.Float, nullable=False, server_default="0"),
        sa.Column("calls", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("number", name="uq_nodes_number"),
        sa.CheckConstraint("state IN ('up', 'draining', 'gone')", name=op.f("ck_nodes_state")),
        sa.CheckConstraint("number BETWEEN 0 AND 65535", name=op.f("ck_nodes_number")),
    )
