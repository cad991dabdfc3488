"""Whom an event is for: the role beside the id, because a user and an otomo may have the same one.

Of the events that are there, an incoming call was for the otomo, and what a call's otomo was told bears their id, as no
call's parties had the same one; all else was for users.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLES = """
    UPDATE events SET role = CASE
        WHEN type = 'incoming_call' THEN 'otomo'
        WHEN user_id = (SELECT otomo_id FROM calls WHERE calls.id = events.call_id) THEN 'otomo'
        ELSE 'user'
    END
    WHERE user_id IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("events", sa.Column("role", sa.Text))
    op.execute(ROLES)
    op.create_index("ix_events_person", "events", ["user_id", "role", "seq"])
    op.drop_index("ix_events_user", "events")
