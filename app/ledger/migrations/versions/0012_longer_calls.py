"""By how much admins have raised a call's longest duration."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("extended_seconds", sa.Integer, nullable=False, server_default="0"))
