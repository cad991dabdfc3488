"""The tables, and the invariants that the database itself keeps. Both databases hold the same types and
values.

Times are integers (``_ms``): exact, and equal on SQLite and PostgreSQL. A change here needs a migration; a test
compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.ledger.columns import Id, JsonText, Millis, Points, RowId, Texts, Words
from app.ledger.values import MAX_POINTS
from schemas.call import CallState

metadata = MetaData(
    naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"}
)


LIVE = text("state <> 'ended'")
TO_ALL = text("user_id IS NULL")
TO_ONE = text("user_id IS NOT NULL")  # else SQLite would search it for events to all users, and sort them
CHARGED = text("billed_points > 0")
REMAINS = text("remaining > 0")
ENDED = text("end_reason IS NOT NULL")
UNCONNECTED = text("ended_at_ms IS NOT NULL AND connected_at_ms IS NULL")
PENDING = text("state = 'pending'")
EXPIRES = text("expires_at_ms IS NOT NULL")
GROWS = text("state = 'recording'")
STATES = ", ".join(f"'{state}'" for state in CallState)

calls = Table(
    "calls",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("otomo_id", Id, nullable=False),
    Column("state", Text, nullable=False),
    Column("exclusive", Boolean, nullable=False),
    Column("node", Id, nullable=False),
    Column("price_per_minute", Points, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("accepted_at_ms", Millis),
    Column("connected_at_ms", Millis),
    Column("proven_at_ms", Millis),
    Column("ended_at_ms", Millis),
    Column("end_reason", Words),
    Column("duration_seconds", Integer),
    Column("billed_units", Integer, nullable=False, server_default="0"),
    Column("billed_points", Points, nullable=False, server_default="0"),
    Column("epoch", Integer, nullable=False, server_default="1"),
    Column("talked_ms", Millis, nullable=False, server_default="0"),
    Column("metadata", Texts),
    Column("tariff", JsonText),  # NULL for calls of older releases
    Column("extended_seconds", Integer, nullable=False, server_default="0"),
    Column("refunded_points", Points, nullable=False, server_default="0"),
    Column("held_since_ms", Millis),  # NULL where it is not on hold
    Column("held_music", Text),
    CheckConstraint(f"state IN ({STATES})", name="state"),
    CheckConstraint("(state = 'ended') = (ended_at_ms IS NOT NULL)", name="ended"),
    CheckConstraint(f"price_per_minute BETWEEN 0 AND {MAX_POINTS}", name="price"),
    CheckConstraint("billed_units >= 0 AND billed_points >= 0", name="billed"),
    CheckConstraint("epoch >= 1 AND talked_ms >= 0", name="talked"),
    CheckConstraint("refunded_points BETWEEN 0 AND billed_points", name="refunded"),
    Index("ix_calls_created", "created_at_ms", "id"),
    Index("ix_calls_user", "user_id", "created_at_ms", "id"),
    Index("ix_calls_otomo", "otomo_id", "created_at_ms", "id"),
    Index("ix_calls_state", "state", "created_at_ms", "id"),
    Index("ix_calls_end_reason", "end_reason", "created_at_ms", "id", sqlite_where=ENDED, postgresql_where=ENDED),
    Index("ix_calls_live", "created_at_ms", "id", sqlite_where=LIVE, postgresql_where=LIVE),
    Index("ix_calls_unconnected", "ended_at_ms", sqlite_where=UNCONNECTED, postgresql_where=UNCONNECTED),
    Index("ix_calls_charged", "user_id", "created_at_ms", "id", sqlite_where=CHARGED, postgresql_where=CHARGED),
)

call_metadata = Table(  # what is in calls.metadata, to be searched, in the order of the lists
    "call_metadata",
    metadata,
    Column("key", Id, primary_key=True),
    Column("value", Words, primary_key=True),
    Column("created_at_ms", Millis, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), primary_key=True),
    Index("ix_call_metadata_call", "call_id"),
)

call_feedback = Table(
    "call_feedback",
    metadata,
    Column("call_id", ForeignKey("calls.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("score", Integer, nullable=False),
    Column("tags", JsonText, nullable=False),
    Column("comment", Words, nullable=False),
    Column("at_ms", Millis, nullable=False),
    CheckConstraint("score BETWEEN 1 AND 5", name="score"),
)

live_parties = Table(  # two rows for each live exclusive call, so that nobody is in two
    "live_parties",
    metadata,
    Column("role", Text, primary_key=True),
    Column("user_id", Id, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Index("ix_live_parties_call", "call_id"),
)

call_transitions = Table(
    "call_transitions",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Words, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Index("ix_call_transitions_call", "call_id", "id"),
)

call_segments = Table(  # the rooms that a call has had, one after the other
    "call_segments",
    metadata,
    Column("call_id", ForeignKey("calls.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("node", Id, nullable=False),
    Column("worker", Integer, nullable=False),
    Column("began_at_ms", Millis, nullable=False),
    Column("talked_before_ms", Millis, nullable=False),
    Column("reason", Text),
    CheckConstraint("(epoch = 1) = (reason IS NULL)", name="reason"),
)

call_interruptions = Table(
    "call_interruptions",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("role", Text),  # who was not there; NULL where the room was lost
    Column("since_ms", Millis, nullable=False),
    Column("until_ms", Millis),
    CheckConstraint("until_ms >= since_ms", name="until"),
    Index("ix_call_interruptions_call", "call_id", "id"),
)

call_units = Table(
    "call_units",
    metadata,
    Column("call_id", ForeignKey("calls.id"), primary_key=True),
    Column("unit_index", Integer, primary_key=True, autoincrement=False),
    Column("points", Points, nullable=False),
    Column("total_points", Points, nullable=False),
    Column("balance_after", Points),
    Column("duration_seconds", Integer, nullable=False),
    Column("charged_at_ms", Millis, nullable=False),
    Column("bonus_points", Points, nullable=False, server_default="0"),
    CheckConstraint("unit_index >= 1", name="index"),
    CheckConstraint("points >= 0 AND total_points >= points", name="points"),
    CheckConstraint("bonus_points BETWEEN 0 AND points", name="bonus"),
)

call_records = Table(  # of calls that a node ended; calls that a restart ended have none
    "call_records",
    metadata,
    Column("call_id", ForeignKey("calls.id"), primary_key=True),
    Column("ended_by", Text, nullable=False),
    Column("unit_seconds", Float, nullable=False),
    Column("worker", Integer),
    Column("mos", Float),
    Column("quality", JsonText, nullable=False),
    Column("flags", JsonText, nullable=False),
    Column("transports", JsonText, nullable=False),
)

wallets = Table(
    "wallets",
    metadata,
    Column("user_id", Id, primary_key=True),
    Column("balance", Points, nullable=False),
    Column("updated_at_ms", Millis, nullable=False),
    CheckConstraint(f"balance BETWEEN 0 AND {MAX_POINTS}", name="balance"),
)

point_transactions = Table(
    "point_transactions",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("user_id", ForeignKey("wallets.user_id"), nullable=False),
    Column("amount", Points, nullable=False),
    Column("reason", Words, nullable=False),
    Column("call_id", Id),
    Column("unit_index", Integer),
    Column("idempotency_key", Id),
    Column("balance_after", Points, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Column("kind", Text),  # of what has no unit: which; NULL for an adjustment of an older release
    Column("bonus_amount", Points, nullable=False, server_default="0"),  # by how much it changed the bonus points
    UniqueConstraint("call_id", "unit_index", name="uq_point_transactions_unit"),
    UniqueConstraint("idempotency_key", name="uq_point_transactions_key"),
    CheckConstraint("(call_id IS NULL) = (unit_index IS NULL)", name="unit"),
    CheckConstraint("(call_id IS NULL) = (idempotency_key IS NOT NULL)", name="origin"),
    Index("ix_point_transactions_user", "user_id", "id"),
    Index("ix_point_transactions_at", "at_ms", "unit_index", "kind", "amount"),  # sums by day are read in it alone
)

lots = Table(  # bonus points, and paid ones that expire; the rest of a balance is paid points that do not
    "lots",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("user_id", ForeignKey("wallets.user_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("points", Points, nullable=False),
    Column("remaining", Points, nullable=False),
    Column("expires_at_ms", Millis),
    Column("created_at_ms", Millis, nullable=False),
    Column("transaction_id", ForeignKey("point_transactions.id"), nullable=False),
    CheckConstraint("kind IN ('paid', 'bonus')", name="kind"),
    CheckConstraint("kind = 'bonus' OR expires_at_ms IS NOT NULL", name="expiry"),
    CheckConstraint("remaining BETWEEN 0 AND points", name="remaining"),
    UniqueConstraint("transaction_id", name="uq_lots_transaction"),
    Index("ix_lots_user", "user_id", "id", sqlite_where=REMAINS, postgresql_where=REMAINS),
    Index("ix_lots_expiry", "expires_at_ms", sqlite_where=REMAINS, postgresql_where=REMAINS),
)

refunds = Table(
    "refunds",
    metadata,
    Column("transaction_id", ForeignKey("point_transactions.id"), primary_key=True, autoincrement=False),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Column("points", Points, nullable=False),
    Column("units", Integer),  # how many were asked for; NULL where it was points
    Column("refunded_after", Points, nullable=False),
    CheckConstraint("points > 0 AND refunded_after >= points", name="points"),
    CheckConstraint("units > 0", name="units"),
    Index("ix_refunds_call", "call_id", "transaction_id"),
)

rates = Table(
    "rates",
    metadata,
    Column("otomo_id", Id, primary_key=True),
    Column("price_per_minute", Points, nullable=False),
    Column("updated_at_ms", Millis, nullable=False),
    Column("tariff", JsonText),  # NULL where the price alone was given
    CheckConstraint(f"price_per_minute BETWEEN 0 AND {MAX_POINTS}", name="price"),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("role", Text),  # its receiver, with the id; both are NULL where it is for all users
    Column("user_id", Id),
    Column("call_id", Id),
    Column("unit_index", Integer),  # finds a unit's events again when its charge is tried a second time
    Column("type", Text, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("at_ms", Millis, nullable=False),
    Index("ix_events_person", "user_id", "role", "seq", sqlite_where=TO_ONE, postgresql_where=TO_ONE),
    Index("ix_events_to_all", "seq", sqlite_where=TO_ALL, postgresql_where=TO_ALL),
    Index("ix_events_call", "call_id", "seq"),
    Index("ix_events_at", "at_ms"),
)

event_counter = Table(  # one row, locked from the drawing of numbers until the commit
    "event_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("webhooks_version", BigInteger, nullable=False, server_default="0"),  # rises with each change of endpoints
    CheckConstraint("id = 1", name="one"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", JsonText),  # NULL: all that need no asking
    Column("description", Words, nullable=False, server_default=""),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),  # signs, too, until its time is over
    Column("old_secret_until_ms", Millis),
    Column("from_settings", Boolean, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("failing_since_ms", Millis),  # since its last success
    Column("disabled_at_ms", Millis),
    Column("disabled_reason", Text),
    CheckConstraint("(disabled_at_ms IS NULL) = (disabled_reason IS NULL)", name="disabled"),
    CheckConstraint("(old_secret IS NULL) = (old_secret_until_ms IS NULL)", name="old_secret"),
)

webhook_deliveries = Table(  # an outbox: a row is stored with what it tells of
    "webhook_deliveries",
    metadata,
    Column("number", RowId, primary_key=True),  # those about the same go in this order
    Column("id", Id, nullable=False),
    Column("endpoint_id", ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("about", Id, nullable=False),
    Column("call_id", Id),
    Column("type", Text, nullable=False),
    Column("body", JsonText, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at_ms", Millis, nullable=False),
    Column("next_attempt_at_ms", Millis, nullable=False),  # one that is under way is due again should its node die
    Column("last_attempt_at_ms", Millis),
    Column("took_ms", Integer),
    Column("status", Integer),  # of the last answer; NULL where there was none
    Column("answer", Words),  # how it began, or why there was none
    UniqueConstraint("id", name="uq_webhook_deliveries_id"),
    CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
    Index(
        "ix_webhook_deliveries_due",
        *("endpoint_id", "next_attempt_at_ms", "number"),
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    ),
    Index(
        "ix_webhook_deliveries_about",
        *("endpoint_id", "about", "number"),
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    ),
    Index("ix_webhook_deliveries_endpoint", "endpoint_id", "created_at_ms", "id"),
    Index("ix_webhook_deliveries_created", "state", "created_at_ms"),
)

nodes = Table(  # of a cluster; a row stays as long as a call may be the node's
    "nodes",
    metadata,
    Column("incarnation", Id, primary_key=True),
    Column("number", Integer, nullable=False),  # the first two bytes of the ids that it gives
    Column("name", Id, nullable=False),
    Column("address", Text, nullable=False),
    Column("session", Text, nullable=False),  # the name of its sessions, by which others can end them
    Column("version", Text, nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("config_hash", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("beat_ms", Millis, nullable=False),  # by the database's clock, like the next
    Column("steady_ms", Millis, nullable=False),
    Column("stress", Float, nullable=False, server_default="0"),
    Column("calls", Integer, nullable=False, server_default="0"),
    UniqueConstraint("number", name="uq_nodes_number"),
    CheckConstraint("state IN ('up', 'draining', 'gone')", name="state"),
    CheckConstraint("number BETWEEN 0 AND 65535", name="number"),
)

sockets = Table(  # of a cluster: who has one, and on which nodes
    "sockets",
    metadata,
    Column("role", Text, primary_key=True),
    Column("user_id", Id, primary_key=True),
    Column("node", Id, primary_key=True),
    Column("left_at_ms", Millis),  # of an otomo who may be back in a moment; by the database's clock
    Index("ix_sockets_node", "node"),
)

otomo_status = Table(  # of a cluster: what users were told last; who is not here is offline
    "otomo_status",
    metadata,
    Column("otomo_id", Id, primary_key=True),
    Column("status", Text, nullable=False),
    Column("told_at_ms", Millis, nullable=False),
)

people = Table(  # of whom something is decided
    "people",
    metadata,
    Column("role", Text, primary_key=True),
    Column("user_id", Id, primary_key=True),
    Column("banned", Boolean, nullable=False),
    Column("until_ms", Millis),  # of a ban that has an end
    Column("ban_reason", Words),
    Column("revoked_at_ms", Millis),  # tokens that were issued until then are refused
    Column("away", Boolean, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("role", Text, primary_key=True),
    Column("user_id", Id, primary_key=True),
    Column("other_role", Text, primary_key=True),
    Column("other_id", Id, primary_key=True),
    Column("at_ms", Millis, nullable=False),
)

audit_log = Table(  # what admins did; about calls that may be forgotten before it
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at_ms", Millis, nullable=False),
    Column("admin_id", Id, nullable=False),
    Column("action", Text, nullable=False),
    Column("call_id", Id),
    Column("role", Text),
    Column("user_id", Id),
    Column("subject", Id),
    Column("reason", Words),
    Column("details", Texts),
    CheckConstraint("(role IS NULL) = (user_id IS NULL)", name="person"),
    Index("ix_audit_log_at", "at_ms", "id"),
    Index("ix_audit_log_admin", "admin_id", "at_ms", "id"),
    Index("ix_audit_log_call", "call_id", "at_ms", "id"),
    Index("ix_audit_log_action", "action", "at_ms", "id"),
)

supervisions = Table(  # of live calls: which admins listen or speak in them
    "supervisions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("call_id", Id, nullable=False),
    Column("admin_id", Id, nullable=False),
    Column("mode", Text, nullable=False),
    Column("whispers_to", Text),
    Column("began_at_ms", Millis, nullable=False),
    Column("token_until_ms", Millis),  # of the token by which it was asked for; NULL where that has no end
    Column("token_issued_ms", Millis),
    UniqueConstraint("call_id", "admin_id", name="uq_supervisions_admin"),
    CheckConstraint("mode IN ('listen', 'whisper', 'barge')", name="mode"),
    CheckConstraint("(mode = 'whisper') = (whispers_to IS NOT NULL)", name="whisper"),
)

call_recordings = Table(  # which calls are recorded; the row of one that is opened recorded comes before its call's
    "call_recordings",
    metadata,
    Column("call_id", Id, primary_key=True),
    Column("state", Text, nullable=False),
    Column("asked_by", Id, nullable=False),
    Column("reason", Words, nullable=False),
    Column("asked_at_ms", Millis, nullable=False),
    Column("told", Boolean, nullable=False),  # whether the parties know
    CheckConstraint("state IN ('recording', 'paused', 'stopped')", name="state"),
)

recordings = Table(  # files, one for each party, node and beginning
    "recordings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("part", Integer, nullable=False),
    Column("node", Id, nullable=False),
    Column("began_at_ms", Millis, nullable=False),
    Column("state", Text, nullable=False),
    Column("duration_ms", Millis),
    Column("bytes", BigInteger),
    Column("error", Words),
    Column("told_failed", Boolean, nullable=False),
    Column("expires_at_ms", Millis),
    UniqueConstraint("call_id", "role", "part", name="uq_recordings_part"),
    CheckConstraint("role IN ('user', 'otomo')", name="role"),
    CheckConstraint("state IN ('recording', 'finished', 'stored', 'failed')", name="state"),
    Index("ix_recordings_expiry", "expires_at_ms", sqlite_where=EXPIRES, postgresql_where=EXPIRES),
    Index("ix_recordings_growing", "call_id", sqlite_where=GROWS, postgresql_where=GROWS),
)

schema_compat = Table(  # one row: the oldest schema whose release may use this one
    "schema_compat",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("oldest", Text, nullable=False),
    CheckConstraint("id = 1", name="one"),
)

recovery_log = Table(
    "recovery_log",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("call_id", ForeignKey("calls.id"), nullable=False),
    Column("node", Id, nullable=False),
    Column("recovered_at_ms", Millis, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at_ms", Millis, nullable=False),
    Column("duration_seconds", Integer, nullable=False),
    Column("billed_units", Integer, nullable=False),
    Column("billed_points", Points, nullable=False),
    Index("ix_recovery_log_call", "call_id"),
)


def insert_unless_there(dialect: Dialect, table: Table) -> Any:
    """An insert that does nothing where a unique index forbids the row."""
    return _insert(dialect, table).on_conflict_do_nothing()


def insert_or_replace(tx: Connection, table: Table) -> Any:
    """An insert that replaces the row with the same primary key."""
    insert = _insert(tx.dialect, table)
    others = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)


def _insert(dialect: Dialect, table: Table) -> Any:
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)
