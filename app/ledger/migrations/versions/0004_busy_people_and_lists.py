"""Who is busy, in a table over both roles; and indexes by which every list is read in its own order.

The table takes the place of two indexes, one for each role.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LIVE = sa.text("state <> 'ended'")
TO_ALL = sa.text("user_id IS NULL")
TO_ONE = sa.text("user_id IS NOT NULL")
CHARGED = sa.text("billed_points > 0")
UNCONNECTED = sa.text("ended_at_ms IS NOT NULL AND connected_at_ms IS NULL")
BUSY = """
    INSERT INTO live_parties (role, user_id, call_id)
    SELECT 'user', user_id, id FROM calls WHERE "exclusive" AND state <> 'ended'
    UNION ALL SELECT 'otomo', otomo_id, id FROM calls WHERE "exclusive" AND state <> 'ended'
"""


def upgrade() -> None:
    busy_people()
    lists()


def busy_people() -> None:
    op.create_table(
        "live_parties",
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", name="fk_live_parties_call_id"), nullable=False),
    )
    op.create_index("ix_live_parties_call", "live_parties", ["call_id"])
    op.execute(BUSY)
    op.drop_index("uq_calls_live_user", "calls")
    op.drop_index("uq_calls_live_otomo", "calls")


def lists() -> None:
    in_order = ["created_at_ms", "id"]
    op.create_index("ix_calls_live", "calls", in_order, sqlite_where=LIVE, postgresql_where=LIVE)
    of_user = ["user_id", *in_order]
    op.create_index("ix_calls_charged", "calls", of_user, sqlite_where=CHARGED, postgresql_where=CHARGED)
    op.create_index(
        "ix_calls_unconnected", "calls", ["ended_at_ms"], sqlite_where=UNCONNECTED, postgresql_where=UNCONNECTED
    )
    op.create_index("ix_recovery_log_call", "recovery_log", ["call_id"])
    op.create_index("ix_events_to_all", "events", ["seq"], sqlite_where=TO_ALL, postgresql_where=TO_ALL)
    op.drop_index("ix_events_person", "events")
    of_person = ["user_id", "role", "seq"]
    op.create_index("ix_events_person", "events", of_person, sqlite_where=TO_ONE, postgresql_where=TO_ONE)
