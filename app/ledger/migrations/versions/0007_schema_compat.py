"""Which releases may use the schema, though they do not know it: so that two releases run side by side.

A migration that only adds leaves the row as it is. One after which the releases before it would fail, or do harm, sets
it to its own revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    compat = op.create_table(
        "schema_compat",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("oldest", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_schema_compat_one")),
    )
    op.bulk_insert(compat, [{"id": 1, "oldest": revision}])
