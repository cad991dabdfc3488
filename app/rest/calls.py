"""Endpoints of calls for their parties: asking for one, answering, ending, and reading its course and its cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from aiohttp import web

from app.calls.call import LiveCall
from app.clock import now
from app.errors import (
    Blocked,
    CallerBusy,
    CallLimitExceeded,
    CallNotFound,
    Draining,
    Forbidden,
    InsufficientPoints,
    InvalidCallState,
    LivesElsewhere,
    OtomoBusy,
    OtomoNotFound,
    OtomoOffline,
    Overloaded,
    WorkerUnavailable,
)
from app.http.body import body
from app.http.responses import created, json_response
from app.keys import CALLS, LEDGER, REGISTRY, claims
from app.ledger.call_bodies import body_fields, detail_fields_of
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Call, Feedback, Unit
from app.media.booth import Booth, BoothConsumer, BoothProducer
from app.media.party_objects import OpenTransport, PartyConsumer, PartyProducer
from app.openapi.declaration import answers
from app.person import Person
from app.rest.pages import PAGE, page_query
from schemas.base import given
from schemas.call import (
    BilledUnit,
    Billing,
    CallAck,
    CallBody,
    CallList,
    CallRequest,
    CallState,
    FeedbackLine,
    FeedbackRequest,
    PartyCallDetail,
    ReasonBody,
    RefundedPart,
)
from schemas.own_media import OwnConsumer, OwnMedia, OwnProducer, OwnTransport
from schemas.types import PartyRole, iso

OF_A_STORED_CALL = (CallNotFound, Forbidden, LedgerUnavailable)
OF_A_CALL = (*OF_A_STORED_CALL, InvalidCallState)

routes = web.RouteTableDef()


@routes.post("/calls")
@answers(
    {201: CallAck},
    Forbidden,
    CallLimitExceeded,
    Blocked,
    OtomoNotFound,
    OtomoOffline,
    OtomoBusy,
    CallerBusy,
    InsufficientPoints,
    InvalidCallState,
    Draining,
    Overloaded,
    LedgerUnavailable,
)
@body(CallRequest)
async def request_call(request: web.Request, body: CallRequest) -> web.Response:
    """Ring an otomo. For the role `user`.

    The otomo must be online and free, the caller free and able to pay one unit. A caller rings at most 10 times a
    minute, and the same otomo 3 times, unless the node's settings say otherwise.
    """
    call = await request.app[CALLS].request_call(
        claims(request), body.otomo_id, given(body.call_id), given(body.metadata)
    )
    return created(ack(call))


@routes.post("/calls/{call_id}/accept")
@answers({200: CallAck}, *OF_A_CALL, WorkerUnavailable)
async def accept_call(request: web.Request) -> web.Response:
    """Accept a call, as its otomo. Its room is open when this answers."""
    return json_response(ack(await request.app[CALLS].accept(claims(request), request.match_info["call_id"])))


@routes.post("/calls/{call_id}/reject")
@answers({200: CallAck}, *OF_A_CALL)
@body(ReasonBody)
async def reject_call(request: web.Request, body: ReasonBody) -> web.Response:
    """Reject a ringing call, as its otomo."""
    call_id = request.match_info["call_id"]
    return json_response(ack(await request.app[CALLS].reject(claims(request), call_id, given(body.reason))))


@routes.post("/calls/{call_id}/cancel")
@answers({200: CallAck}, *OF_A_CALL)
@body(ReasonBody)
async def cancel_call(request: web.Request, body: ReasonBody) -> web.Response:
    """Cancel a call that is not accepted yet, as its caller."""
    call_id = request.match_info["call_id"]
    return json_response(ack(await request.app[CALLS].cancel(claims(request), call_id, given(body.reason))))


@routes.post("/calls/{call_id}/end")
@answers({200: CallAck}, *OF_A_CALL)
@body(ReasonBody)
async def end_call(request: web.Request, body: ReasonBody) -> web.Response:
    """End a call that was accepted, as either party."""
    call_id = request.match_info["call_id"]
    return json_response(ack(await request.app[CALLS].end(claims(request), call_id, given(body.reason))))


@routes.get("/calls")
@answers({200: CallList}, LedgerUnavailable, query=PAGE)
async def list_calls(request: web.Request) -> web.Response:
    """The calls of whoever asks, newest first; for admins, all calls."""
    query = page_query(request)
    party = None if claims(request).is_admin else claims(request).person
    page = await request.app[LEDGER].calls_of(party, limit=query.limit, cursor=query.cursor)
    listed = CallList(tuple(call_body(call) for call in page.items), page.next_cursor)
    return json_response(listed)


@routes.get("/calls/{call_id}")
@answers({200: PartyCallDetail}, *OF_A_STORED_CALL)
async def get_call(request: web.Request) -> web.Response:
    """One call and its timeline, oldest first; while it lives, with what its party has in the room."""
    live = request.app[REGISTRY].find(
        request.match_info["call_id"]
    )  # before the ledger: a call that is not live is stored as ended
    call = await readable_call(request)
    require_here(request, call, live)
    fields = await detail_fields(request, call)
    media = own_media(live, claims(request).person) if call.state is not CallState.ENDED else None
    feedback = await feedback_for(request, call)
    return json_response(PartyCallDetail(**fields, media=media, feedback=feedback))


def require_here(request: web.Request, stored: Call, live: LiveCall | None) -> None:
    """Raises LivesElsewhere where the call is live on another node, which alone knows what goes on in it."""
    if live is None and stored.state is not CallState.ENDED and stored.node != request.app[LEDGER].node:
        raise LivesElsewhere(stored.id)


def own_media(call: LiveCall | None, person: Person) -> OwnMedia | None:
    """What a party, or an admin who supervises it, has in the room of a live call; None where there is no room, and for
    other admins."""
    if call is None or call.room is None or not call.live:
        return None
    room, role = call.room, call.parties.role_of(person)
    if (booth := room.booths.get(person.id)) is not None and person.role == "admin":
        return booth_media(booth)
    if role is None:
        return None
    return OwnMedia(
        tuple(own_transport(one) for one in room.transports.values() if one.party == role),
        tuple(own_producer(one) for one in room.producers.values() if one.party == role),
        tuple(
            own_consumer(one) for one in (*room.consumers.values(), *room.offer_consumers.values()) if one.party == role
        ),
    )


def booth_media(booth: Booth) -> OwnMedia:
    return OwnMedia(
        tuple(map(own_transport, booth.transports.values())),
        tuple(map(own_producer, booth.producers.values())),
        tuple(map(own_consumer, booth.consumers.values())),
    )


def own_transport(owned: OpenTransport) -> OwnTransport:
    transport = owned.transport
    return OwnTransport(transport.id, owned.direction, transport.ice_state, transport.dtls_state)


def own_producer(owned: PartyProducer | BoothProducer) -> OwnProducer:
    producer = owned.producer
    return OwnProducer(producer.id, owned.key[0], producer.kind, producer.paused)


def own_consumer(owned: PartyConsumer | BoothConsumer) -> OwnConsumer:
    consumer = owned.consumer
    paused = not owned.wanted if isinstance(owned, PartyConsumer) else consumer.paused
    return OwnConsumer(consumer.id, consumer.producer_id, owned.transport_id, paused)


@routes.get("/calls/{call_id}/billing")
@answers({200: Billing}, *OF_A_STORED_CALL)
async def get_billing(request: web.Request) -> web.Response:
    """The units of a call that were charged, and what was given back."""
    call = await readable_call(request)
    billing = await request.app[LEDGER].billing(call.id)
    units = tuple(map(billed_unit, billing.units))
    refunds = tuple(RefundedPart(one.points, one.units, one.reason, iso(one.at_ms)) for one in billing.refunds)
    return json_response(Billing(call.id, units, billing.total_points, billing.refunded_points, refunds))


@routes.post("/calls/{call_id}/feedback")
@answers({201: FeedbackLine}, *OF_A_CALL)
@body(FeedbackRequest)
async def give_feedback(request: web.Request, body: FeedbackRequest) -> web.Response:
    """Say what a call was like, as one of its parties; once, and within 24 hours of its end.

    The same again is answered as the first time; another opinion is INVALID_CALL_STATE.
    """
    call = await stored_call(request)
    person = claims(request).person
    claims(request).require_party(*call.parties)
    given = Feedback(cast("PartyRole", person.role), body.score, body.tags, body.comment, now().utc_ms)
    kept = await request.app[LEDGER].give_feedback(call.id, given)
    if replace(kept, at_ms=given.at_ms) != given:
        raise InvalidCallState(f"{person} has said something else of call {call.id}")
    return created(feedback_line(call, kept))


async def feedback_for(request: web.Request, call: Call) -> tuple[FeedbackLine, ...]:
    """What was said of a call: to a party what it said itself, to admins all."""
    who, said = claims(request), await request.app[LEDGER].feedback(call.id)
    return tuple(feedback_line(call, one) for one in said if who.is_admin or one.role == who.role)


def feedback_line(call: Call, one: Feedback) -> FeedbackLine:
    return FeedbackLine(
        user_id=call.parties.person(one.role).id,
        role=one.role,
        score=one.score,
        tags=one.tags,
        comment=one.comment,
        at=iso(one.at_ms),
    )


def billed_unit(unit: Unit) -> BilledUnit:
    paid = unit.points - unit.bonus_points
    return BilledUnit(unit.index, unit.points, iso(unit.charged_at_ms), paid, unit.bonus_points)


async def readable_call(request: web.Request) -> Call:
    """The stored call, for its parties and for admins."""
    call = await stored_call(request)
    claims(request).require_reader(*call.parties)
    return call


async def stored_call(request: web.Request) -> Call:
    call_id = request.match_info["call_id"]
    call = await request.app[LEDGER].call(call_id)
    if call is None:
        raise CallNotFound(call_id)
    return call


async def detail_fields(request: web.Request, call: Call) -> dict[str, Any]:
    """A call with its timeline, oldest first, and its record where it has one."""
    return detail_fields_of(await request.app[LEDGER].details(call), now().utc_ms)


def ack(call: LiveCall | Call) -> CallAck:
    return CallAck(call.id, call.state)


def call_body(call: Call) -> CallBody:
    return CallBody(**body_fields(call))
