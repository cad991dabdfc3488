"""Refunds of calls, which together never exceed what the call cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    refunded = sa.Column("refunded_points", sa.BigInteger, nullable=False, server_default="0")
    bound = sa.CheckConstraint("refunded_points BETWEEN 0 AND billed_points", name=op.f("ck_calls_refunded"))
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("calls", refunded)
        op.create_check_constraint(op.f("ck_calls_refunded"), "calls", bound.sqltext)
    else:  # SQLite adds a constraint only together with its column
        op.execute(
            "ALTER TABLE calls ADD COLUMN refunded_points BIGINT DEFAULT '0' NOT NULL "
            "CONSTRAINT ck_calls_refunded CHECK (refunded_points BETWEEN 0 AND billed_points)"
        )
    op.add_column("point_transactions", sa.Column("kind", sa.Text))
    line = sa.ForeignKey("point_transactions.id", name="fk_refunds_transaction_id")
    op.create_table(
        "refunds",
        sa.Column("transaction_id", ROW_ID, line, primary_key=True, autoincrement=False),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_refunds_call_id"), nullable=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("units", sa.Integer),
        sa.Column("refunded_after", sa.BigInteger, nullable=False),
        sa.CheckConstraint("points > 0 AND refunded_after >= points", name=op.f("ck_refunds_points")),
        sa.CheckConstraint("units > 0", name=op.f("ck_refunds_units")),
    )
    op.create_index("ix_refunds_call", "refunds", ["call_id", "transaction_id"])
