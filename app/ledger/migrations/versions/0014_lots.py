"""Lots of points: bonus points, and paid ones that expire.

What a wallet holds beyond its lots is paid points that do not expire. So each wallet of before is one such lot as it
is, and the release before this one, which knows no lots, takes of that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
REMAINS = sa.text("remaining > 0")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("call_units", sa.Column("bonus_points", sa.BigInteger, nullable=False, server_default="0"))
        op.create_check_constraint(op.f("ck_call_units_bonus"), "call_units", "bonus_points BETWEEN 0 AND points")
    else:  # SQLite adds a constraint only together with its column
        op.execute(
            "ALTER TABLE call_units ADD COLUMN bonus_points BIGINT DEFAULT '0' NOT NULL "
            "CONSTRAINT ck_call_units_bonus CHECK (bonus_points BETWEEN 0 AND points)"
        )
    op.add_column("point_transactions", sa.Column("bonus_amount", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "lots",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("wallets.user_id", name="fk_lots_user_id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column(
            "transaction_id",
            ROW_ID,
            sa.ForeignKey("point_transactions.id", name="fk_lots_transaction_id"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('paid', 'bonus')", name=op.f("ck_lots_kind")),
        sa.CheckConstraint("kind = 'bonus' OR expires_at_ms IS NOT NULL", name=op.f("ck_lots_expiry")),
        sa.CheckConstraint("remaining BETWEEN 0 AND points", name=op.f("ck_lots_remaining")),
        sa.UniqueConstraint("transaction_id", name="uq_lots_transaction"),
    )
    op.create_index("ix_lots_user", "lots", ["user_id", "id"], sqlite_where=REMAINS, postgresql_where=REMAINS)
    op.create_index("ix_lots_expiry", "lots", ["expires_at_ms"], sqlite_where=REMAINS, postgresql_where=REMAINS)
