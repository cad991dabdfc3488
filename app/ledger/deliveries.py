"""Deliveries to webhook endpoints: which are due, who takes them, what became of them.

Of those about the same call, user or otomo only the first that is pending is due: they arrive in order. Whoever takes
one postpones its next attempt; should that node die before it has stored what became of it, the delivery is due again
then, on whichever node. Times are the caller's on SQLite, and the database's where several nodes share one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    Update,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from app.ledger import webhook_endpoints as endpoints
from app.ledger.errors import EndpointDisabled, UnknownDelivery
from app.ledger.nodes import CLOCK, STATEMENT_CLOCK
from app.ledger.notices import Notice
from app.ledger.outbox import ADD, AT_ONCE, message, row_of
from app.ledger.paging import page
from app.ledger.pruning import is_ours
from app.ledger.tables import webhook_deliveries, webhook_endpoints
from app.ledger.values import Page
from app.ledger.webhook_endpoints import Endpoint, disabled
from schemas.base import encode
from schemas.webhook import DeliveryStatus
from schemas.webhook_events import MessageType, TestNotice

AT_ONCE_MOST = 1000  # rows that one transaction changes
row = webhook_deliveries.c
EARLIER = webhook_deliveries.alias("earlier")
PENDING: ColumnElement[str] = literal_column("'pending'")
"""Not a parameter: a statement that is planned once for all values of its parameters could not use the indexes of what
is pending, and would read everything that is, for each row."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this node has taken to send, and to where. ``attempts`` were made before."""

    id: str
    endpoint: Endpoint
    type: MessageType
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt. A failed one is made again after ``again_ms``; None is never. ``gone`` is the
    endpoint's word that it wants nothing any more."""

    taken: Taken
    delivered: bool
    at_ms: int
    took_ms: int
    status: int | None
    answer: str
    again_ms: int | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is stored."""

    id: str
    endpoint_id: str
    call_id: str | None
    type: MessageType
    body: bytes
    state: DeliveryStatus
    attempts: int
    created_at_ms: int
    next_attempt_at_ms: int
    last_attempt_at_ms: int | None
    took_ms: int | None
    status: int | None
    answer: str | None


def take(tx: Connection, under_way: Mapping[str, int], at_once: int, now_ms: int, lease_ms: int) -> tuple[Taken, ...]:
    """Deliveries that are due, postponed by ``lease_ms``: for each endpoint at most ``at_once`` less what is under way
    to it. What another node takes now is left."""
    find, postpone = BY_DATABASE if hurried(tx) else BY_CALLER
    found: list[tuple[Endpoint, Any]] = []
    for endpoint in endpoints.every(tx):
        room = at_once - under_way.get(endpoint.id, 0)
        if room > 0 and endpoint.disabled_at_ms is None:
            rows = tx.execute(find, {"of_endpoint": endpoint.id, "room": room, "now_ms": now_ms})
            found += ((endpoint, one) for one in rows)
    if found:
        tx.execute(postpone, [{"taken": one.number, "lease_ms": lease_ms, "now_ms": now_ms} for _, one in found])
    return tuple(Taken(one.id, endpoint, one.type, one.body, one.attempts) for endpoint, one in found)


def hurried(tx: Connection) -> bool:
    """Whether this is PostgreSQL, whose clock counts. There the commit waits for no disk: what a crash makes untaken is
    sent twice, which it may be. And what is due is read in the order of its index, until there is no more room: a
    planner that knows the table would rather sort all of it."""
    if tx.dialect.name != "postgresql":
        return False
    tx.exec_driver_sql(
        "SELECT set_config('synchronous_commit', 'off', true), set_config('enable_bitmapscan', 'off', true)"
    )
    return True


def taking(at: ColumnElement[int]) -> tuple[Select[Any], Update]:
    """Find, and lock, what of one endpoint is due ``at`` a moment; and postpone one of these."""
    first = (  # asked for each row, by the index: as a join it would read all that is pending
        select(func.min(EARLIER.c.number))
        .where(EARLIER.c.endpoint_id == row.endpoint_id, EARLIER.c.about == row.about, EARLIER.c.state == PENDING)
        .scalar_subquery()
    )
    found = (
        select(row.number, row.id, row.type, row.body, row.attempts)
        .where(row.endpoint_id == bindparam("of_endpoint"), row.state == PENDING, row.next_attempt_at_ms <= at)
        .where(row.number == first)
        .order_by(row.next_attempt_at_ms, row.number)
        .limit(bindparam("room", type_=Integer))
        .with_for_update(of=webhook_deliveries, skip_locked=True)
    )
    postponed = update(webhook_deliveries).where(row.number == bindparam("taken"))
    return found, postponed.values(next_attempt_at_ms=at + bindparam("lease_ms", type_=BigInteger))


BY_CALLER = taking(bindparam("now_ms", type_=BigInteger))
BY_DATABASE = taking(STATEMENT_CLOCK)


def give_back(tx: Connection, ids: Collection[str]) -> None:
    """Deliveries that were taken and not sent are due at once."""
    tx.execute(
        update(webhook_deliveries).where(row.id.in_(ids), row.state == PENDING).values(next_attempt_at_ms=AT_ONCE)
    )


def storing(at: ColumnElement[int]) -> Update:
    """Store what became of one attempt, ``at`` a moment."""
    names = ("state", "attempts", "last_attempt_at_ms", "took_ms", "status", "answer")
    return (
        update(webhook_deliveries)
        .where(row.id == bindparam("of_id"), row.state == PENDING)
        .values({name: bindparam(f"new_{name}", type_=row[name].type) for name in names})
        .values(next_attempt_at_ms=at + bindparam("again_ms", type_=BigInteger))
    )


STORE = storing(bindparam("now_ms", type_=BigInteger))
STORE_BY_DATABASE = storing(STATEMENT_CLOCK)


def finish(tx: Connection, outcomes: Sequence[Outcome], fails_for_ms: int) -> list[str | None]:
    """Store what became of attempts. Returns, for each, why its endpoint has been disabled by it, if it was: it is
    gone, or has failed for ``fails_for_ms``."""
    now_ms = max(one.at_ms for one in outcomes)
    ordered = sorted(outcomes, key=lambda one: one.taken.id)  # so that two nodes can't deadlock
    store = STORE_BY_DATABASE if tx.dialect.name == "postgresql" else STORE
    tx.execute(store, [_stored(one) | {"now_ms": now_ms} for one in ordered])
    concerned = sorted({one.taken.endpoint.id for one in outcomes if _concerns_endpoint(one)})
    at = now_of(tx, now_ms) if concerned else now_ms
    why = {
        endpoint_id: reason
        for endpoint_id in concerned
        if (reason := _judge(tx, endpoint_id, outcomes, at, fails_for_ms))
    }
    return [why.get(one.taken.endpoint.id) for one in outcomes]


def now_of(tx: Connection, now_ms: int) -> int:
    return int(tx.scalar(select(CLOCK)) or 0) if tx.dialect.name == "postgresql" else now_ms


def _stored(outcome: Outcome) -> dict[str, Any]:
    state = "delivered" if outcome.delivered else "pending" if outcome.again_ms is not None else "dead"
    return {
        "of_id": outcome.taken.id,
        "again_ms": outcome.again_ms or 0,
        "new_state": state,
        "new_attempts": outcome.taken.attempts + 1,
        "new_last_attempt_at_ms": outcome.at_ms,
        "new_took_ms": outcome.took_ms,
        "new_status": outcome.status,
        "new_answer": outcome.answer,
    }


def _concerns_endpoint(outcome: Outcome) -> bool:
    """Whether its endpoint begins to fail, goes on failing, or fails no more."""
    return not outcome.delivered or outcome.taken.endpoint.failing_since_ms is not None


def _judge(tx: Connection, endpoint_id: str, outcomes: Sequence[Outcome], at: int, fails_for_ms: int) -> str | None:
    """Store since when an endpoint fails. Returns why it is disabled now, and was not before."""
    mine = [one for one in outcomes if one.taken.endpoint.id == endpoint_id]
    found = tx.execute(
        select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).with_for_update(key_share=True)
    ).one_or_none()
    if found is None or found.disabled_at_ms is not None:
        return None
    began = at if found.failing_since_ms is None else found.failing_since_ms
    since = None if any(one.delivered for one in mine) else began
    if since != found.failing_since_ms:
        of_it = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
        tx.execute(of_it.values(failing_since_ms=since))
    if any(one.gone for one in mine):
        endpoints.set_values(tx, endpoint_id, disabled("gone", at))
        return "gone"
    if since is not None and at - since >= fails_for_ms:
        endpoints.set_values(tx, endpoint_id, disabled("failing", at))
        return "failing"
    return None


def deliveries(
    tx: Connection, endpoint_id: str, state: DeliveryStatus | None, limit: int, cursor: str | None
) -> Page[Delivery]:
    """Newest first. Raises UnknownEndpoint, BadCursor."""
    endpoints.endpoint(tx, endpoint_id)
    query = _query().where(row.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(row.state == state)
    return page(tx, query, (row.created_at_ms, row.id), _delivery, limit=limit, cursor=cursor)


def delivery(tx: Connection, delivery_id: str) -> Delivery:
    """Raises UnknownDelivery."""
    found = tx.execute(_query().where(row.id == delivery_id)).mappings().one_or_none()
    if found is None:
        raise UnknownDelivery(delivery_id)
    return _delivery(found)


def retry(tx: Connection, delivery_id: str) -> Delivery:
    """Due at once, whatever became of it before. Raises UnknownDelivery, EndpointDisabled."""
    found = delivery(tx, delivery_id)
    if endpoints.endpoint(tx, found.endpoint_id).disabled_at_ms is not None:
        raise EndpointDisabled(found.endpoint_id)
    again = {"state": "pending", "next_attempt_at_ms": AT_ONCE}
    if found.state != "pending":
        again["attempts"] = 0
    tx.execute(update(webhook_deliveries).where(row.id == delivery_id).values(again))
    return delivery(tx, delivery_id)


def replay(tx: Connection, endpoint_id: str, after: tuple[int, str], to_ms: int) -> tuple[int, tuple[int, str]]:
    """Make some deliveries that are not pending due again: those made after a place (a time and an id), until that
    time. Returns how many, fewer than ``AT_ONCE_MOST`` at the end, and the place of the last.

    Raises UnknownEndpoint, EndpointDisabled.
    """
    if endpoints.endpoint(tx, endpoint_id).disabled_at_ms is not None:
        raise EndpointDisabled(endpoint_id)
    place = tuple_(row.created_at_ms, row.id)
    mine = (row.endpoint_id == endpoint_id, row.state != "pending", row.created_at_ms <= to_ms, place > tuple_(*after))
    some = select(row.created_at_ms, row.id).where(*mine).order_by(row.created_at_ms, row.id).limit(AT_ONCE_MOST)
    found = [(one.created_at_ms, one.id) for one in tx.execute(some)]
    again = {"state": "pending", "next_attempt_at_ms": AT_ONCE, "attempts": 0}
    tx.execute(update(webhook_deliveries).where(row.id.in_([id_ for _, id_ in found])).values(again))
    return len(found), found[-1] if found else after


def add_test(tx: Connection, endpoint_id: str, at_ms: int) -> Delivery:
    """Raises UnknownEndpoint, EndpointDisabled."""
    if endpoints.endpoint(tx, endpoint_id).disabled_at_ms is not None:
        raise EndpointDisabled(endpoint_id)
    data = encode(TestNotice(endpoint_id))
    body = message("webhook.test", at_ms, data)
    added = row_of(endpoint_id, Notice("webhook.test", "", None, at_ms, data), body)
    ADD(tx, [added | {"about": added["id"]}])
    return delivery(tx, added["id"])


def waiting(tx: Connection) -> dict[str, int]:
    """How many deliveries are pending, by endpoint; of those that are disabled, too."""
    counted = select(row.endpoint_id, func.count()).where(row.state == PENDING).group_by(row.endpoint_id)
    return {endpoint_id: int(count) for endpoint_id, count in tx.execute(counted).all()}


def delete_before(tx: Connection, state: DeliveryStatus, before_ms: int) -> int:
    """Delete a batch of older deliveries in a state. Returns how many: fewer than ``AT_ONCE_MOST`` at the end, none
    where another node is at it."""
    if not is_ours(tx):
        return 0
    old = select(row.number).where(row.state == state, row.created_at_ms < before_ms).limit(AT_ONCE_MOST)
    return tx.execute(delete(webhook_deliveries).where(row.number.in_(old))).rowcount


def delete_of(tx: Connection, endpoint_id: str) -> int:
    """Delete a batch of an endpoint's deliveries, and with the last of them the endpoint that was marked as deleted.
    Returns how many."""
    some = select(row.number).where(row.endpoint_id == endpoint_id).limit(AT_ONCE_MOST)
    count = tx.execute(delete(webhook_deliveries).where(row.number.in_(some))).rowcount
    if count < AT_ONCE_MOST:
        endpoints.forget(tx, endpoint_id)
    return count


def _query() -> Any:
    return select(*(row[name] for name in Delivery.__slots__))


def _delivery(found: RowMapping) -> Delivery:
    return Delivery(**found)
