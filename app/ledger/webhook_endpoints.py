"""Webhook endpoints as rows. Every change raises the version of their set, as the last thing in its transaction: from
its commit on each node writes what it makes necessary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, delete, insert, or_, select, update

from app.ledger.errors import EndpointFromSettings, TooManyEndpoints, UnknownEndpoint
from app.ledger.subscriptions import Subscriber, wanted_types
from app.ledger.tables import event_counter, insert_unless_there, webhook_endpoints
from schemas.base import encode
from schemas.webhook import DisabledReason
from schemas.webhook_events import WebhookType

MOST = 20  # endpoints
FROM_SETTINGS = "settings"  # the id of the one that the settings make
DELETED = "deleted"  # of an endpoint whose deliveries are not all deleted yet
row = webhook_endpoints.c
THERE = or_(row.disabled_reason.is_(None), row.disabled_reason != DELETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``types`` None are all that need no asking. ``old_secret`` signs, too, until its time."""

    id: str
    url: str
    secret: str
    created_at_ms: int
    types: tuple[WebhookType, ...] | None = None
    description: str = ""
    old_secret: str | None = None
    old_secret_until_ms: int | None = None
    from_settings: bool = False
    failing_since_ms: int | None = None
    disabled_at_ms: int | None = None
    disabled_reason: DisabledReason | None = None

    def secrets_at(self, now_ms: int) -> tuple[str, ...]:
        """Those that sign now, the new one first."""
        old = self.old_secret if self.old_secret_until_ms and now_ms < self.old_secret_until_ms else None
        return (self.secret, old) if old else (self.secret,)


ENABLED: Mapping[str, Any] = {"disabled_at_ms": None, "disabled_reason": None, "failing_since_ms": None}
"""What an endpoint changes to that is used again."""


def disabled(reason: DisabledReason, at_ms: int) -> dict[str, Any]:
    return {"disabled_at_ms": at_ms, "disabled_reason": reason}


def subscribers(tx: Connection) -> tuple[Subscriber, ...]:
    rows = tx.execute(select(row.id, row.types, row.disabled_at_ms).where(THERE).order_by(row.id))
    return tuple(Subscriber(one.id, wanted_types(_types(one.types)), one.disabled_at_ms is None) for one in rows)


def add(tx: Connection, endpoint: Endpoint) -> Endpoint:
    """Raises TooManyEndpoints."""
    tx.execute(insert(webhook_endpoints), [_row(endpoint)])
    _changed(tx)  # of several that are added at once each counts those before it
    if len(every(tx)) > MOST:
        raise TooManyEndpoints(f"there are {MOST} endpoints, and no more may be")
    return endpoint


def every(tx: Connection) -> tuple[Endpoint, ...]:
    """All endpoints, in the order of their making."""
    return tuple(map(_endpoint, tx.execute(_query().order_by(row.created_at_ms, row.id)).mappings()))


def endpoint(tx: Connection, endpoint_id: str) -> Endpoint:
    """Raises UnknownEndpoint."""
    found = tx.execute(_query().where(row.id == endpoint_id)).mappings().one_or_none()
    if found is None:
        raise UnknownEndpoint(endpoint_id)
    return _endpoint(found)


def lock(tx: Connection, endpoint_id: str) -> Endpoint:
    """Raises UnknownEndpoint."""
    found = tx.execute(_query().where(row.id == endpoint_id).with_for_update(key_share=True)).mappings().one_or_none()
    if found is None:
        raise UnknownEndpoint(endpoint_id)
    return _endpoint(found)


def change(tx: Connection, endpoint_id: str, values: Mapping[str, Any]) -> Endpoint:
    """Set some columns. Raises UnknownEndpoint, and EndpointFromSettings where the settings say what it is."""
    if lock(tx, endpoint_id).from_settings:
        raise EndpointFromSettings(endpoint_id)
    return set_values(tx, endpoint_id, values)


def rotate(tx: Connection, endpoint_id: str, secret: str, old_until_ms: int) -> Endpoint:
    """Give it another secret; the one before it signs, too, until that time. Raises as :func:`change`."""
    old = lock(tx, endpoint_id).secret
    return change(tx, endpoint_id, {"secret": secret, "old_secret": old, "old_secret_until_ms": old_until_ms})


def set_values(tx: Connection, endpoint_id: str, values: Mapping[str, Any]) -> Endpoint:
    """Like :func:`change`, whoever made the endpoint. Its row is locked."""
    stored = {name: _stored(name, value) for name, value in values.items()}
    if stored:
        tx.execute(update(webhook_endpoints).where(row.id == endpoint_id).values(stored))
        _changed(tx)
    return endpoint(tx, endpoint_id)


def mark_deleted(tx: Connection, endpoint_id: str, at_ms: int) -> None:
    """Nothing is written for it any more, or sent. Raises UnknownEndpoint, EndpointFromSettings."""
    found = lock(tx, endpoint_id)
    if found.from_settings and found.disabled_reason != "unset":
        raise EndpointFromSettings(endpoint_id)
    tx.execute(
        update(webhook_endpoints).where(row.id == endpoint_id).values(disabled_at_ms=at_ms, disabled_reason=DELETED)
    )
    _changed(tx)


def deleted(tx: Connection) -> tuple[str, ...]:
    """Those whose deliveries are still to be deleted."""
    return tuple(tx.scalars(select(row.id).where(row.disabled_reason == DELETED)))


def forget(tx: Connection, endpoint_id: str) -> None:
    """The row of one that was marked as deleted and has no deliveries any more; it may be there again meanwhile."""
    tx.execute(delete(webhook_endpoints).where(row.id == endpoint_id, row.disabled_reason == DELETED))


def follow_settings(tx: Connection, url: str | None, secret: str | None, now_ms: int, old_lives_ms: int) -> None:
    """Make the endpoint that the settings name, or change it to what they say now; without one in them it rests."""
    if url is None or secret is None:
        found = (
            tx.execute(_query().where(row.id == FROM_SETTINGS).with_for_update(key_share=True)).mappings().one_or_none()
        )
        if found is not None and found["disabled_reason"] is None:
            set_values(tx, FROM_SETTINGS, disabled("unset", now_ms))
        return
    made = Endpoint(id=FROM_SETTINGS, url=url, secret=secret, created_at_ms=now_ms, from_settings=True)
    if tx.execute(insert_unless_there(tx.dialect, webhook_endpoints), _row(made)).rowcount:
        _changed(tx)
        return
    found = (
        tx.execute(select(webhook_endpoints).where(row.id == FROM_SETTINGS).with_for_update(key_share=True))
        .mappings()
        .one()
    )
    values: dict[str, Any] = {}
    if found["secret"] != secret:
        values |= {"secret": secret, "old_secret": found["secret"], "old_secret_until_ms": now_ms + old_lives_ms}
    if found["url"] != url or found["disabled_reason"] in ("unset", DELETED):
        values |= {"url": url, **ENABLED}
    if values:
        tx.execute(update(webhook_endpoints).where(row.id == FROM_SETTINGS).values(values))
        _changed(tx)


def _changed(tx: Connection) -> None:
    """Locks the row from which event numbers are drawn, until the commit."""
    tx.execute(update(event_counter).values(webhooks_version=event_counter.c.webhooks_version + 1))


def _query() -> Select[Any]:
    return select(webhook_endpoints).where(THERE)


def _row(endpoint: Endpoint) -> dict[str, Any]:
    return {one.name: _stored(one.name, getattr(endpoint, one.name)) for one in fields(Endpoint)}


def _stored(name: str, value: Any) -> Any:
    return encode(value) if name == "types" and value is not None else value


def _types(stored: bytes | None) -> tuple[WebhookType, ...] | None:
    return None if stored is None else msgspec.json.decode(stored, type=tuple[WebhookType, ...])


def _endpoint(found: RowMapping) -> Endpoint:
    return Endpoint(**{**found, "types": _types(found["types"])})
