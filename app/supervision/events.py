"""What is told of supervision: to the admin who does it, and to the parties where they are to know."""

from __future__ import annotations

from app.calls import call_events
from app.calls.call import LiveCall
from app.clock import Moment
from app.ledger.supervisions import Supervision
from app.ledger.values import NewEvent
from app.person import Person
from schemas.signaling import ProducerChange, Supervised, SupervisionOver, SupervisionState
from schemas.supervision import SupervisionEnd
from schemas.types import PartyRole
from worker_bridge.producer import Producer


def supervision(call: LiveCall, of: Supervision) -> NewEvent:
    """For the admin: how the supervision is now, and in which room."""
    payload = SupervisionState(
        call_id=call.id,
        supervision_id=of.id,
        mode=of.mode,
        to=of.whispers_to,
        media_epoch=call.epoch,
    )
    return NewEvent.of(payload, Person("admin", of.admin_id))


def supervision_ended(of: Supervision, why: SupervisionEnd) -> NewEvent:
    """For the admin."""
    payload = SupervisionOver(call_id=of.call_id, supervision_id=of.id, reason=why)
    return NewEvent.of(payload, Person("admin", of.admin_id))


def producer(change: ProducerChange, call: LiveCall, party: PartyRole, producer: Producer, admin: Person) -> NewEvent:
    """For the admin, what the other party is told."""
    [told] = call_events.producer_event(change, call, party, producer, (party,))
    return told._replace(to=admin)


def supervised(call: LiveCall, supervised: bool, at: Moment) -> list[NewEvent]:
    """For both parties."""
    payload = Supervised(call_id=call.id, at=at.iso, supervised=supervised)
    return NewEvent.to_each(call.parties, payload, call.id)
