"""Deliveries to webhook endpoints, stored in the transaction of what they tell of: never told and not so, nor so and
never told. Who sends them, and when, is not known here.

Where no endpoint wants anything this costs nothing: the version of the set of endpoints comes with the drawing of event
numbers, and what is remembered for it says that there is none.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Raw
from sqlalchemy import Connection, select

from app.ledger import call_details, webhook_endpoints
from app.ledger.bulk import BulkInsert, Row
from app.ledger.call_bodies import detail_fields_of
from app.ledger.calls import call_of
from app.ledger.notices import ENDED, About, Beside, Notice, notice_of, notices_beside, tellings_of
from app.ledger.subscriptions import OPTION, Subscriptions
from app.ledger.tables import calls, webhook_deliveries
from app.ledger.values import Call, NewEvent
from schemas.base import encode
from schemas.call import CallDetail, CallState
from schemas.types import iso
from schemas.webhook_events import Message, MessageType

ADD = BulkInsert(webhook_deliveries)
AT_ONCE = 0  # when a new delivery is due
NOTHING: tuple[Notice, ...] = ()

Told = Sequence[tuple[NewEvent, int]]
"""Events, each with its time."""


class Outgoing:
    """What a transaction tells back ends. Made before the event numbers are drawn, so that nobody waits for it."""

    def __init__(self, tx: Connection, told: Told, beside: Sequence[Beside], known: Mapping[str, Call]) -> None:
        self._subscriptions: Subscriptions = tx.get_execution_options().get(OPTION) or Subscriptions()
        self._told = told
        self._beside = beside
        self._calls = known
        self._notices = self._make(tx)

    def store(self, tx: Connection, version: int) -> None:
        """Store the deliveries, for the endpoints of this ``version``."""
        if version != self._subscriptions.version:
            self._subscriptions.remember(version, webhook_endpoints.subscribers(tx))
            self._notices = self._make(tx)
        if self._notices:
            ADD(tx, list(self._rows()))

    def _make(self, tx: Connection) -> Sequence[Notice]:
        wanted = self._subscriptions.wanted
        if not wanted:
            return NOTHING
        found = [(telling, event, at_ms) for event, at_ms in self._told for telling in tellings_of(event, wanted)]
        ids = {event.call_id for _, event, _ in found if event.call_id is not None}
        ending = {event.call_id for telling, event, _ in found if telling.type == ENDED}
        abouts = self._abouts(tx, ids, ending) if ids else {}
        notices = (notice_of(telling, event, at_ms, abouts.get(event.call_id or "")) for telling, event, at_ms in found)
        more = (one for what in self._beside for one in notices_beside(what, self._subscriptions.wallet_low_points))
        return [*(one for one in notices if one), *(one for one in more if one.type in wanted)]

    def _abouts(self, tx: Connection, ids: set[str], ending: set[str | None]) -> dict[str, About]:
        """The calls as this transaction leaves them; those that end with all that is stored of them."""
        found = {call_id: call for call_id in ids if (call := self._calls.get(call_id))}
        if found.keys() != ids:
            rows = tx.execute(select(calls).where(calls.c.id.in_(sorted(ids - found.keys())))).mappings()
            found |= {call.id: call for call in map(call_of, rows)}
        ended = [call for call in found.values() if call.id in ending and call.state is CallState.ENDED]
        details = call_details.details_of(tx, ended) if ended else {}
        whole = {
            call_id: CallDetail(**detail_fields_of(one, one.call.ended_at_ms or 0)) for call_id, one in details.items()
        }
        return {call_id: About(call, whole.get(call_id)) for call_id, call in found.items()}

    def _rows(self) -> Iterator[Row]:
        for notice in self._notices:
            body = message(notice.type, notice.at_ms, notice.data)
            for one in self._subscriptions.subscribers:
                if notice.type in one.types:
                    yield row_of(one.endpoint_id, notice, body, "pending" if one.enabled else "dead")


def message(type_: MessageType, at_ms: int, data: bytes) -> bytes:
    """The body that is sent, as JSON text."""
    return encode(Message(type_, iso(at_ms), Raw(data)))


def row_of(endpoint_id: str, notice: Notice, body: bytes, state: str = "pending") -> Row:
    return {
        "id": new_delivery_id(),
        "endpoint_id": endpoint_id,
        "about": notice.about,
        "call_id": notice.call_id,
        "type": notice.type,
        "body": body,
        "state": state,
        "created_at_ms": notice.at_ms,
        "next_attempt_at_ms": AT_ONCE,
    }


def new_delivery_id() -> str:
    """Also the ``webhook-id``, by which a receiver knows what it has got before."""
    return f"msg_{secrets.token_hex(16)}"
