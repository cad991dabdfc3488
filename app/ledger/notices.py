"""What back ends are told, and by which events: the one table from our events to the types of webhooks. Knows no SQL.

A notice is made in the transaction of the event that it is about, and is one delivery for each endpoint that wants it.
Of an event that goes to both parties the table takes one copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from app.ledger.values import Call, NewEvent
from app.person import Person
from schemas.base import encode, given
from schemas.call import CallDetail
from schemas.signaling import (
    EVENTS,
    CallAnswered,
    CallConnected,
    CallEnded,
    CallEnding,
    CallInterrupted,
    CallResumed,
    CallSilent,
    CallTick,
    IncomingCall,
    OtomoStatus,
)
from schemas.types import PartyRole, iso, iso_or_none
from schemas.webhook_events import (
    AcceptedNotice,
    AdjustedNotice,
    BannedNotice,
    ChargedNotice,
    ConnectedNotice,
    EndingNotice,
    InterruptedNotice,
    MessageType,
    MissedNotice,
    RecordingFailedNotice,
    RecordingReadyNotice,
    ResumedNotice,
    RingingNotice,
    SilentNotice,
    WalletLowNotice,
    WebhookType,
)


class Notice(NamedTuple):
    """``about`` is what deliveries keep their order by: those about the same arrive in turn. ``data`` is JSON text."""

    type: MessageType
    about: str
    call_id: str | None
    at_ms: int
    data: bytes


class BalanceChanged(NamedTuple):
    """A wallet was charged or adjusted. ``next_unit`` is what the next unit of its call costs; ``adjustment`` is the
    reason and the key of an adjustment, None of a charge."""

    user_id: str
    before: int
    after: int
    at_ms: int
    next_unit: int = 0
    call_id: str | None = None
    adjustment: tuple[str, str] | None = None


class Banned(NamedTuple):
    """An admin keeps somebody out; ``until_ms`` None has no end."""

    person: Person
    reason: str | None
    until_ms: int | None
    at_ms: int


class RecordingReady(NamedTuple):
    """A leg's file is in the storage, until ``expires_at_ms``; None is for ever."""

    id: str
    call_id: str
    user_id: str
    otomo_id: str
    role: PartyRole
    part: int
    duration_ms: int
    bytes: int
    expires_at_ms: int | None
    at_ms: int


class RecordingFailed(NamedTuple):
    """A leg's file can't be written or stored: now, or, where it is not ``tried_again``, at all."""

    id: str
    call_id: str
    user_id: str
    otomo_id: str
    role: PartyRole
    part: int
    error: str
    tried_again: bool
    at_ms: int


Beside = BalanceChanged | Banned | RecordingReady | RecordingFailed
"""What a transaction did that its events do not say, or not so."""


@dataclass(frozen=True, slots=True)
class About:
    """The call of an event, and all that is stored of it where it has ended and somebody wants that."""

    call: Call
    detail: CallDetail | None = None


class Telling(NamedTuple):
    """Which type an event becomes, by the copy that goes to ``to``; ``make`` returns None where nothing is told."""

    type: WebhookType
    to: PartyRole | None
    make: Callable[[Any, Any], msgspec.Struct | None]


def ringing(event: IncomingCall, about: About) -> RingingNotice:
    return RingingNotice(
        **parties(about.call),
        created_at=event.created_at,
        expires_at=event.expires_at,
        price_per_minute=event.price_per_minute,
    )


def accepted(event: CallAnswered, about: About) -> AcceptedNotice:
    return AcceptedNotice(**parties(about.call), accepted_at=event.at)


def connected(event: CallConnected, about: About) -> ConnectedNotice:
    return ConnectedNotice(**parties(about.call), connected_at=event.connected_at)


def interrupted(event: CallInterrupted, about: About) -> InterruptedNotice:
    return InterruptedNotice(
        **parties(about.call), away=event.role, reason=event.reason, since=event.since, until=event.until
    )


def resumed(event: CallResumed, about: About) -> ResumedNotice:
    return ResumedNotice(**parties(about.call), interrupted_seconds=event.interrupted_seconds)


def charged(event: CallTick, about: About) -> ChargedNotice:
    return ChargedNotice(
        **parties(about.call),
        index=event.tick_number,
        points=event.charged_points,
        total_points=event.total_charged_points,
        duration_seconds=event.duration_seconds,
        balance=given(event.user_balance),
        status=event.status,
        charged_at=event.timestamp,
    )


def ending(event: CallEnding, about: About) -> EndingNotice:
    return EndingNotice(
        **parties(about.call),
        reason=event.reason,
        seconds_left=event.seconds_left,
        at=event.at,
        points_needed=given(event.points_needed),
    )


def silent(event: CallSilent, about: About) -> SilentNotice:
    return SilentNotice(**parties(about.call), at=event.at, silent_seconds=event.silent_seconds, ends_at=event.ends_at)


def missed(event: CallEnded, about: About) -> MissedNotice | None:
    if about.call.accepted_at_ms is not None:
        return None
    return MissedNotice(
        **parties(about.call), created_at=iso(about.call.created_at_ms), ended_at=event.ended_at, reason=event.reason
    )


def ended(_: CallEnded, about: About) -> CallDetail | None:
    return about.detail


def status(event: OtomoStatus, _: object) -> OtomoStatus:
    return event


ENDED: WebhookType = "call.ended"  # whose data is read from the tables
TELLINGS: Mapping[str, tuple[Telling, ...]] = MappingProxyType(
    {
        "incoming_call": (Telling("call.ringing", "otomo", ringing),),
        "call_accepted": (Telling("call.accepted", "user", accepted),),
        "call_connected": (Telling("call.connected", "user", connected),),
        "call_interrupted": (Telling("call.interrupted", "user", interrupted),),
        "call_resumed": (Telling("call.resumed", "user", resumed),),
        "call_tick": (Telling("call.charged", "user", charged),),
        "call_ending": (Telling("call.ending", "user", ending),),
        "call_silent": (Telling("call.silent", "user", silent),),
        "call_end": (Telling("call.missed", "user", missed), Telling(ENDED, "user", ended)),
        "otomo_status": (Telling("otomo.status", None, status),),
    }
)
"""By the event's type. ``call.missed`` comes before ``call.ended``, which is the last word about a call."""


PAYLOADS: Mapping[str, type[Any]] = {name: payload for name, payload in EVENTS.items() if name in TELLINGS}
NAMES = {name: {one.encode_name: one.name for one in structs.fields(kind)} for name, kind in PAYLOADS.items()}


def parties(call: Call) -> dict[str, Any]:
    return {"call_id": call.id, "user_id": call.user_id, "otomo_id": call.otomo_id, "metadata": call.metadata}


def tellings_of(event: NewEvent, wanted: frozenset[WebhookType]) -> tuple[Telling, ...]:
    """What is told of this copy of an event, to anybody."""
    role = None if event.to is None else event.to.role
    return tuple(one for one in TELLINGS.get(event.type, ()) if one.to == role and one.type in wanted)


def payload_of(event: NewEvent) -> Any:
    """The Struct that the event was made of. It is not checked again: what was stored before may be told."""
    values, names = msgspec.json.decode(event.payload), NAMES[event.type]
    return PAYLOADS[event.type](**{names[name]: value for name, value in values.items()})


def notice_of(telling: Telling, event: NewEvent, at_ms: int, about: About | None) -> Notice | None:
    """None where there is nothing to tell."""
    payload = payload_of(event)
    made = telling.make(payload, about)
    if made is None:
        return None
    key = f"otomo {payload.otomo_id}" if event.call_id is None else f"call {event.call_id}"
    return Notice(telling.type, key, event.call_id, at_ms, encode(made))


def notices_beside(beside: Beside, low_points: int) -> list[Notice]:
    match beside:
        case BalanceChanged():
            return notices_of_balance(beside, low_points)
        case Banned(person, reason, until_ms, at_ms):
            told = BannedNotice(role=person.role, user_id=person.id, reason=reason, until=iso_or_none(until_ms))
            return [Notice("user.banned", str(person), None, at_ms, encode(told))]
        case RecordingReady():
            return [notice_of_ready(beside)]
        case RecordingFailed():
            return [notice_of_failed(beside)]


def notice_of_ready(file: RecordingReady) -> Notice:
    told = RecordingReadyNotice(
        recording_id=file.id,
        call_id=file.call_id,
        user_id=file.user_id,
        otomo_id=file.otomo_id,
        role=file.role,
        part=file.part,
        duration_ms=file.duration_ms,
        bytes=file.bytes,
        expires_at=iso_or_none(file.expires_at_ms),
    )
    return Notice("recording.ready", f"call {file.call_id}", file.call_id, file.at_ms, encode(told))


def notice_of_failed(file: RecordingFailed) -> Notice:
    told = RecordingFailedNotice(
        recording_id=file.id,
        call_id=file.call_id,
        user_id=file.user_id,
        otomo_id=file.otomo_id,
        role=file.role,
        part=file.part,
        error=file.error,
        tried_again=file.tried_again,
    )
    return Notice("recording.failed", f"call {file.call_id}", file.call_id, file.at_ms, encode(told))


def notices_of_balance(change: BalanceChanged, low_points: int) -> list[Notice]:
    """An adjustment is told; and whatever the cause, that a balance has fallen below the threshold."""
    notices = []
    about = f"user {change.user_id}"
    if change.adjustment is not None:
        reason, key = change.adjustment
        told = AdjustedNotice(
            user_id=change.user_id,
            balance=change.after,
            amount=change.after - change.before,
            reason=reason,
            idempotency_key=key,
        )
        notices.append(Notice("wallet.adjusted", about, None, change.at_ms, encode(told)))
    threshold = max(change.next_unit, low_points)
    if change.before >= threshold > change.after:
        low = WalletLowNotice(user_id=change.user_id, balance=change.after, threshold=threshold, call_id=change.call_id)
        notices.append(Notice("wallet.low", about, change.call_id, change.at_ms, encode(low)))
    return notices
