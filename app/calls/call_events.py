"""The events about a call's course. Ticks and ends are made by the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from app.calls.call import Interruption, LiveCall
from app.clock import Moment
from app.ledger.values import NewEvent
from app.media.offers import Offer
from app.tariffs import End
from schemas.call import MoveReason
from schemas.people import OtomoStatusWord
from schemas.signaling import (
    AnswerType,
    CallAnswered,
    CallConnected,
    CallEnding,
    CallInterrupted,
    CallResumed,
    CallSilent,
    IncomingCall,
    MediaMoved,
    NodeDraining,
    OtomoStatus,
    PauseReason,
    ProducerChange,
    ProducerEvent,
)
from schemas.types import PartyRole, iso
from worker_bridge.producer import Producer


def incoming_call(call: LiveCall, ring_s: float) -> NewEvent:
    payload = IncomingCall(
        call_id=call.id,
        user_id=call.user_id,
        created_at=call.created_at.iso,
        expires_at=iso(call.created_at.utc_ms + round(ring_s * 1000)),
        price_per_minute=call.price_per_minute,
    )
    return NewEvent.of(payload, call.parties.otomo, call.id)


def answered(type_: AnswerType, call: LiveCall, at: Moment, reason: str | None = None) -> list[NewEvent]:
    """For both parties, so that the otomo's other devices stop ringing."""
    payload = CallAnswered(
        call_id=call.id,
        user_id=call.user_id,
        otomo_id=call.otomo_id,
        at=at.iso,
        reason=UNSET if reason is None else reason,
    )
    return NewEvent.to_each(call.parties, payload, call.id, type_)


def connected(call: LiveCall, at: Moment) -> list[NewEvent]:
    payload = CallConnected(call_id=call.id, user_id=call.user_id, otomo_id=call.otomo_id, connected_at=at.iso)
    return NewEvent.to_each(call.parties, payload, call.id)


def producer_event(
    change: ProducerChange,
    call: LiveCall,
    party: PartyRole,
    producer: Producer,
    told: Iterable[PartyRole],
    reason: PauseReason | None = None,
) -> list[NewEvent]:
    """About a producer of ``party``, with its role, because both parties may have the same id; ``reason`` is why the
    node did it."""
    payload = ProducerEvent(
        call_id=call.id,
        producer_id=producer.id,
        user_id=call.parties.person(party).id,
        role=party,
        kind=producer.kind,
        media_epoch=call.epoch,
        reason=UNSET if reason is None else reason,
    )
    return NewEvent.to_each(map(call.parties.person, told), payload, call.id, change)


def offer_event(change: ProducerChange, call: LiveCall, offer: Offer, told: Iterable[PartyRole]) -> list[NewEvent]:
    """About a producer of neither party's."""
    payload = ProducerEvent(
        call_id=call.id,
        producer_id=offer.producer.id,
        user_id=None,
        role=None,
        kind=offer.producer.kind,
        media_epoch=call.epoch,
        source=offer.source,
    )
    return NewEvent.to_each(map(call.parties.person, told), payload, call.id, change)


def silent(call: LiveCall, silent_s: float, at: Moment, ends_at: Moment | None) -> list[NewEvent]:
    """For both parties: for how long neither has spoken, and when the call ends for that, if it does."""
    payload = CallSilent(
        call_id=call.id,
        at=at.iso,
        silent_seconds=int(silent_s),
        ends_at=None if ends_at is None else ends_at.iso,
    )
    return NewEvent.to_each(call.parties, payload, call.id)


def interrupted(call: LiveCall, interruption: Interruption) -> list[NewEvent]:
    """For both parties: who is away, or that the room is lost, and until when they are waited for."""
    who = None if interruption.party is None else call.parties.person(interruption.party)
    payload = CallInterrupted(
        call_id=call.id,
        user_id=None if who is None else who.id,
        role=interruption.party,
        reason=interruption.reason,
        since=interruption.since.iso,
        until=interruption.until.iso,
    )
    return NewEvent.to_each(call.parties, payload, call.id)


def resumed(call: LiveCall, interruption: Interruption, at: Moment) -> list[NewEvent]:
    seconds = max(0.0, at.monotonic - interruption.since.monotonic)
    return NewEvent.to_each(call.parties, CallResumed(call_id=call.id, interrupted_seconds=int(seconds)), call.id)


def media_moved(call: LiveCall, epoch: int, reason: MoveReason, old_until: Moment | None = None) -> list[NewEvent]:
    """For both parties: they have to set up their media again, in the room with this number."""
    payload = MediaMoved(
        call_id=call.id, media_epoch=epoch, reason=reason, old_media_until=old_until.iso if old_until else None
    )
    return NewEvent.to_each(call.parties, payload, call.id)


def ending(call: LiveCall, end: End, left_s: float, at: Moment) -> list[NewEvent]:
    """For both parties: the call ends by itself in so many seconds of talk; for the user, with what would prevent
    it."""
    payload = CallEnding(call_id=call.id, reason=end.reason, seconds_left=max(0, round(left_s)), at=at.iso)
    told = replace(payload, points_needed=end.missing) if end.missing else payload
    return [NewEvent.of(told, call.parties.user, call.id), NewEvent.of(payload, call.parties.otomo, call.id)]


def otomo_status(otomo_id: str, status: OtomoStatusWord, at: Moment) -> NewEvent:
    """For all users."""
    return NewEvent.of(OtomoStatus(otomo_id=otomo_id, status=status, timestamp=at.iso))


def node_draining(call: LiveCall, deadline: Moment | None) -> list[NewEvent]:
    """The node will end the call at the deadline; None takes that back."""
    payload = NodeDraining(call_id=call.id, deadline_at=None if deadline is None else deadline.iso)
    return NewEvent.to_each(call.parties, payload, call.id)
