"""What parties are told about a call's course, as it goes over the wire. Ticks and ends are the ledger's to tell."""

from __future__ import annotations

from typing import Any

from app.calls.call import LiveCall
from app.clock import Moment
from app.ledger.values import NewEvent
from app.person import PartyRole
from schemas.types import iso
from worker_bridge.producer import Producer


def incoming_call(call: LiveCall, ring_s: float) -> NewEvent:
    payload = {
        "callId": call.id,
        "userId": call.user_id,
        "createdAt": call.created_at.iso,
        "expiresAt": iso(call.created_at.utc_ms + round(ring_s * 1000)),
        "pricePerMinute": call.price_per_minute,
    }
    return NewEvent("incoming_call", payload, call.parties.otomo, call.id)


def answered(event_type: str, call: LiveCall, at: Moment, reason: str | None = None) -> list[NewEvent]:
    """``call_accepted``, ``call_rejected`` or ``call_cancelled``, to both: other devices of the otomo stop to ring."""
    payload: dict[str, Any] = {"callId": call.id, "userId": call.user_id, "otomoId": call.otomo_id, "at": at.iso}
    if reason is not None:
        payload["reason"] = reason
    return [NewEvent(event_type, payload, party, call.id) for party in call.parties]


def connected(call: LiveCall, at: Moment) -> list[NewEvent]:
    payload = {
        "callId": call.id,
        "userId": call.user_id,
        "otomoId": call.otomo_id,
        "connectedAt": at.iso,
        "method": "sfu_rtp_detected",
    }
    return [NewEvent("call_connected", payload, party, call.id) for party in call.parties]


def producer_event(
    event_type: str, call: LiveCall, party: PartyRole, producer: Producer, told: PartyRole, reason: str | None = None
) -> NewEvent:
    """About a producer of ``party``, with its role because both parties may have one id; ``reason`` is the node's."""
    payload: dict[str, Any] = {
        "callId": call.id,
        "producerId": producer.id,
        "userId": call.parties.person(party).id,
        "role": party,
        "kind": producer.kind,
    }
    if reason is not None:
        payload["reason"] = reason
    return NewEvent(event_type, payload, call.parties.person(told), call.id)


def otomo_status(otomo_id: str, status: str, at: Moment) -> NewEvent:
    """To all users."""
    return NewEvent("otomo_status", {"otomoId": otomo_id, "status": status, "timestamp": at.iso})


def node_draining(call: LiveCall, deadline: Moment | None) -> list[NewEvent]:
    """The node will end the call at the deadline; or, where that is None, it will not any more."""
    payload = {"callId": call.id, "deadlineAt": None if deadline is None else deadline.iso}
    return [NewEvent("node_draining", payload, party, call.id) for party in call.parties]
