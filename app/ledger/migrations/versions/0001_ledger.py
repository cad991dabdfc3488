"""The first schema: calls and their units, wallets and their transactions, rates, events, the log of recoveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LIVE = sa.text("\"exclusive\" AND state <> 'ended'")
STATES = "'requesting', 'ringing', 'matched', 'connecting', 'talking', 'ending', 'ended'"
MOST = 10**15


def upgrade() -> None:
    calls()
    call_parts()
    money()
    events()
    recovery_log()


def calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("otomo_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("exclusive", sa.Boolean, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("price_per_minute", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("accepted_at_ms", sa.BigInteger),
        sa.Column("connected_at_ms", sa.BigInteger),
        sa.Column("last_rtp_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("billed_units", sa.Integer, nullable=False, server_default="0"),
        sa.Column("billed_points", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_calls_state")),
        sa.CheckConstraint("(state = 'ended') = (ended_at_ms IS NOT NULL)", name=op.f("ck_calls_ended")),
        sa.CheckConstraint(f"price_per_minute BETWEEN 0 AND {MOST}", name=op.f("ck_calls_price")),
        sa.CheckConstraint("billed_units >= 0 AND billed_points >= 0", name=op.f("ck_calls_billed")),
    )
    op.create_index("ix_calls_created", "calls", ["created_at_ms", "id"])
    op.create_index("ix_calls_user", "calls", ["user_id", "created_at_ms", "id"])
    op.create_index("ix_calls_otomo", "calls", ["otomo_id", "created_at_ms", "id"])
    op.create_index("ix_calls_state", "calls", ["state", "created_at_ms", "id"])
    for party in ("user", "otomo"):
        op.create_index(
            f"uq_calls_live_{party}",
            "calls",
            [f"{party}_id"],
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        )


def call_parts() -> None:
    op.create_table(
        "call_transitions",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_call_transitions_call_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("call_id", "state", name="uq_call_transitions_once"),
    )
    op.create_table(
        "call_units",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_call_units_call_id"), primary_key=True),
        sa.Column("unit_index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("points", sa.BigInteger, nullable=False),
        sa.Column("total_points", sa.BigInteger, nullable=False),
        sa.Column("balance_after", sa.BigInteger),
        sa.Column("duration_seconds", sa.Integer, nullable=False),
        sa.Column("charged_at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint("unit_index >= 1", name=op.f("ck_call_units_index")),
        sa.CheckConstraint("points >= 0 AND total_points >= points", name=op.f("ck_call_units_points")),
    )


def money() -> None:
    op.create_table(
        "wallets",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint(f"balance BETWEEN 0 AND {MOST}", name=op.f("ck_wallets_balance")),
    )
    owner = sa.ForeignKey("wallets.user_id", name="fk_point_transactions_user_id")
    op.create_table(
        "point_transactions",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("user_id", sa.Text, owner, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("unit_index", sa.Integer),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("balance_after", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("call_id", "unit_index", name="uq_point_transactions_unit"),
        sa.UniqueConstraint("idempotency_key", name="uq_point_transactions_key"),
        sa.CheckConstraint("(call_id IS NULL) = (unit_index IS NULL)", name=op.f("ck_point_transactions_unit")),
        sa.CheckConstraint(
            "(call_id IS NULL) = (idempotency_key IS NOT NULL)", name=op.f("ck_point_transactions_origin")
        ),
    )
    op.create_index("ix_point_transactions_user", "point_transactions", ["user_id", "id"])
    op.create_table(
        "rates",
        sa.Column("otomo_id", sa.Text, primary_key=True),
        sa.Column("price_per_minute", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint(f"price_per_minute BETWEEN 0 AND {MOST}", name=op.f("ck_rates_price")),
    )


def events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Text),
        sa.Column("call_id", sa.Text),
        sa.Column("unit_index", sa.Integer),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_events_user", "events", ["user_id", "seq"])
    op.create_index("ix_events_call", "events", ["call_id", "seq"])
    op.create_index("ix_events_at", "events", ["at_ms"])
    counter = op.create_table(
        "event_counter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_event_counter_one")),
    )
    op.bulk_insert(counter, [{"id": 1, "last_seq": 0}])


def recovery_log() -> None:
    op.create_table(
        "recovery_log",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_recovery_log_call_id"), nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("recovered_at_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
        sa.Column("duration_seconds", sa.Integer, nullable=False),
        sa.Column("billed_units", sa.Integer, nullable=False),
        sa.Column("billed_points", sa.BigInteger, nullable=False),
    )
