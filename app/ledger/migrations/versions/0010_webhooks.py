"""Webhooks: endpoints, the deliveries to them, and the version of the set of endpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("event_counter", sa.Column("webhooks_version", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", sa.JSON),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until_ms", sa.BigInteger),
        sa.Column("from_settings", sa.Boolean, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("failing_since_ms", sa.BigInteger),
        sa.Column("disabled_at_ms", sa.BigInteger),
        sa.Column("disabled_reason", sa.Text),
        sa.CheckConstraint(
            "(disabled_at_ms IS NULL) = (disabled_reason IS NULL)", name=op.f("ck_webhook_endpoints_disabled")
        ),
        sa.CheckConstraint(
            "(old_secret IS NULL) = (old_secret_until_ms IS NULL)", name=op.f("ck_webhook_endpoints_old_secret")
        ),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column(
            "endpoint_id",
            sa.Text,
            sa.ForeignKey("webhook_endpoints.id", name=op.f("fk_webhook_deliveries_endpoint_id")),
            nullable=False,
        ),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("next_attempt_at_ms", sa.BigInteger, nullable=False),
        sa.Column("last_attempt_at_ms", sa.BigInteger),
        sa.Column("took_ms", sa.Integer),
        sa.Column("status", sa.Integer),
        sa.Column("answer", sa.Text),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'dead')", name=op.f("ck_webhook_deliveries_state")),
    )
    pending = sa.text("state = 'pending'")
    for name, columns in (("due", ["next_attempt_at_ms", "number"]), ("about", ["about", "number"])):
        op.create_index(
            f"ix_webhook_deliveries_{name}",
            "webhook_deliveries",
            ["endpoint_id", *columns],
            sqlite_where=pending,
            postgresql_where=pending,
        )
    op.create_index("ix_webhook_deliveries_endpoint", "webhook_deliveries", ["endpoint_id", "created_at_ms", "id"])
    op.create_index("ix_webhook_deliveries_created", "webhook_deliveries", ["state", "created_at_ms"])
