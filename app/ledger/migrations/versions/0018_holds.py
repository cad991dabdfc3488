"""Calls on hold, and the music that is played meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("held_since_ms", sa.BigInteger))
    op.add_column("calls", sa.Column("held_music", sa.Text))
