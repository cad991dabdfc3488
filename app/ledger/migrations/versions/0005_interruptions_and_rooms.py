"""Calls that are interrupted and go on, in another room if need be: how long both parties were there, and each room.

SQLite can't change a constraint, so the table of calls is made anew there, under its name, and filled again: the rows
of other tables that refer to it are checked at the commit.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
STATES = "'requesting', 'ringing', 'matched', 'connecting', 'talking', 'interrupted', 'ending', 'ended'"
MOST = 10**15
LIVE = sa.text("state <> 'ended'")
CHARGED = sa.text("billed_points > 0")
UNCONNECTED = sa.text("ended_at_ms IS NOT NULL AND connected_at_ms IS NULL")
KEPT = (
    "id, user_id, otomo_id, state, exclusive, node, price_per_minute, created_at_ms, accepted_at_ms, connected_at_ms, "
    "proven_at_ms, ended_at_ms, end_reason, duration_seconds, billed_units, billed_points"
)
# What was talked is what was told; of a call that is open, the time to its last proof.
TALKED = """
    UPDATE calls SET talked_ms = CASE
        WHEN duration_seconds IS NOT NULL THEN 1000 * duration_seconds
        WHEN proven_at_ms > connected_at_ms THEN proven_at_ms - connected_at_ms
        ELSE 0 END
"""


def upgrade() -> None:
    op.execute("ALTER TABLE calls RENAME COLUMN last_rtp_at_ms TO proven_at_ms")
    if op.get_bind().dialect.name == "postgresql":
        change_calls()
    else:
        make_calls_anew()
    op.execute(TALKED)
    transitions()
    segments()
    interruptions()


def change_calls() -> None:
    op.drop_constraint(op.f("ck_calls_state"), "calls", type_="check")
    op.create_check_constraint(op.f("ck_calls_state"), "calls", f"state IN ({STATES})")
    op.add_column("calls", sa.Column("epoch", sa.Integer, nullable=False, server_default="1"))
    op.add_column("calls", sa.Column("talked_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.create_check_constraint(op.f("ck_calls_talked"), "calls", "epoch >= 1 AND talked_ms >= 0")


def make_calls_anew() -> None:
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE former_calls AS SELECT * FROM calls")
    op.drop_table("calls")
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
        sa.Column("proven_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("billed_units", sa.Integer, nullable=False, server_default="0"),
        sa.Column("billed_points", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="1"),
        sa.Column("talked_ms", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_calls_state")),
        sa.CheckConstraint("(state = 'ended') = (ended_at_ms IS NOT NULL)", name=op.f("ck_calls_ended")),
        sa.CheckConstraint(f"price_per_minute BETWEEN 0 AND {MOST}", name=op.f("ck_calls_price")),
        sa.CheckConstraint("billed_units >= 0 AND billed_points >= 0", name=op.f("ck_calls_billed")),
        sa.CheckConstraint("epoch >= 1 AND talked_ms >= 0", name=op.f("ck_calls_talked")),
    )
    op.execute(f"INSERT INTO calls ({KEPT}) SELECT {KEPT} FROM former_calls")  # noqa: S608  our own names
    op.execute("DROP TABLE former_calls")
    in_order = ["created_at_ms", "id"]
    op.create_index("ix_calls_created", "calls", in_order)
    for name in ("user_id", "otomo_id", "state"):
        op.create_index(f"ix_calls_{name.removesuffix('_id')}", "calls", [name, *in_order])
    op.create_index("ix_calls_live", "calls", in_order, sqlite_where=LIVE)
    op.create_index("ix_calls_unconnected", "calls", ["ended_at_ms"], sqlite_where=UNCONNECTED)
    op.create_index("ix_calls_charged", "calls", ["user_id", *in_order], sqlite_where=CHARGED)


def transitions() -> None:
    """A call may be interrupted, and talk again, any number of times."""
    with op.batch_alter_table("call_transitions") as table:
        table.drop_constraint("uq_call_transitions_once", type_="unique")
    op.create_index("ix_call_transitions_call", "call_transitions", ["call_id", "id"])


def segments() -> None:
    op.create_table(
        "call_segments",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_call_segments_call_id"), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("worker", sa.Integer, nullable=False),
        sa.Column("began_at_ms", sa.BigInteger, nullable=False),
        sa.Column("talked_before_ms", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.CheckConstraint("(epoch = 1) = (reason IS NULL)", name=op.f("ck_call_segments_reason")),
    )


def interruptions() -> None:
    call = sa.ForeignKey("calls.id", name="fk_call_interruptions_call_id")
    op.create_table(
        "call_interruptions",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("call_id", sa.Text, call, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger),
        sa.CheckConstraint("until_ms >= since_ms", name=op.f("ck_call_interruptions_until")),
    )
    op.create_index("ix_call_interruptions_call", "call_interruptions", ["call_id", "id"])
