"""The nodes of a cluster, who is connected to which, and what was told of each otomo."""

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
    op.create_table(
        "sockets",
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("left_at_ms", sa.BigInteger),
    )
    op.create_index("ix_sockets_node", "sockets", ["node"])
    op.create_table(
        "otomo_status",
        sa.Column("otomo_id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("told_at_ms", sa.BigInteger, nullable=False),
    )
