"""RTC-01 to RTC-07 and the other media endpoints: from a checked body to the room, and back.

Order of refusals: the body, the room, whether the caller is a party, the object, the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from msgspec import UNSET

from app.errors import (
    AlreadyConnected,
    AlreadyResumed,
    BadRequest,
    CallError,
    CannotConsume,
    ConsumerNotFound,
    Forbidden,
    InvalidCallState,
    ProducerAlreadyExists,
    ProducerNotFound,
    RoomNotFound,
    TransportLimitExceeded,
    TransportNotFound,
    WorkerUnavailable,
)
from app.http.body import body
from app.http.responses import created, json_response
from app.keys import CALLS, CAPABILITIES, ICE_SERVERS, PREFLIGHTS, REGISTRY, SETTINGS, claims
from app.ledger.errors import LedgerUnavailable
from app.media.booth import Booth
from app.media.party_objects import unless_gone
from app.media.room import Room
from app.media.seats import Seat
from app.openapi.declaration import answers
from app.person import Person
from schemas.base import given
from schemas.consumer import (
    Capabilities,
    ConsumerCreated,
    ConsumeRequest,
    Paused,
    Resumed,
)
from schemas.producer import (
    ListedProducer,
    ProducerCreated,
    ProduceRequest,
    ProducerList,
)
from schemas.stats import StreamStatistics, StreamStats, TransportStatistics, TransportStats, TupleStats
from schemas.transport import (
    Closed,
    ConnectTransportRequest,
    CreateTransportRequest,
    IceRestarted,
    Released,
    RoomCleaned,
    TransportConnected,
    TransportCreated,
)

OF_AN_OBJECT = (Forbidden, InvalidCallState, WorkerUnavailable)  # its call may end or its worker die meanwhile
IN_A_ROOM = (RoomNotFound, *OF_AN_OBJECT)

routes = web.RouteTableDef()


@routes.get("/rtc/capabilities")
@answers({200: Capabilities})
async def get_capabilities(request: web.Request) -> web.Response:
    """RTC-01: what every room's router can receive and send."""
    return web.Response(body=request.app[CAPABILITIES], content_type="application/json", charset="utf-8")


@routes.post("/rtc/transports")
@answers({201: TransportCreated}, *IN_A_ROOM, TransportLimitExceeded)
@body(CreateTransportRequest)
async def create_transport(request: web.Request, body: CreateTransportRequest) -> web.Response:
    """RTC-02: open a transport. The answer is what mediasoup-client takes.

    A party has one live transport per direction: a new one closes the one before, with its producers or consumers.
    More than 10 in 10 s are refused.
    """
    room, seat = seat_of(request, body.call_id)
    transport = await seat.create_transport(body.direction)
    return created(
        TransportCreated(
            transport.id,
            transport.ice_parameters,
            transport.ice_candidates,
            transport.dtls_parameters,
            room.epoch,
            request.app[ICE_SERVERS](claims(request).person) or UNSET,
        )
    )


@routes.post("/rtc/transports/{transport_id}/connect")
@answers({200: TransportConnected}, *IN_A_ROOM, TransportNotFound, AlreadyConnected)
@body(ConnectTransportRequest)
async def connect_transport(request: web.Request, body: ConnectTransportRequest) -> web.Response:
    """RTC-03: give a transport the client's DTLS parameters.

    Parameters that the worker refuses are a 400; the transport can still be connected.
    """
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id), given(body.call_id))
    await room.seat(claims(request).person).connect(transport_id, body.dtls_parameters)
    return json_response(TransportConnected())


@routes.post("/rtc/producers")
@answers({201: ProducerCreated}, *IN_A_ROOM, TransportNotFound(which="send"), ProducerAlreadyExists)
@body(ProduceRequest)
async def create_producer(request: web.Request, body: ProduceRequest) -> web.Response:
    """RTC-04: register what the caller sends.

    This does not connect the call: the first RTP packet does. The same request again is answered with the same id, so
    that it can be retried.
    """
    if body.kind not in request.app[SETTINGS].media_kinds:
        raise BadRequest.at("kind", f"{body.kind} is not enabled on this server")
    _, seat = seat_of(request, body.call_id)
    producer = await seat.produce(body)
    return created(ProducerCreated(producer.id))


@routes.post("/rtc/consumers")
@answers({201: ConsumerCreated}, *IN_A_ROOM, TransportNotFound(which="recv"), ProducerNotFound, CannotConsume)
@body(ConsumeRequest)
async def create_consumer(request: web.Request, body: ConsumeRequest) -> web.Response:
    """RTC-05: receive what the other party sends.

    Without `rtpCapabilities`, the router's own are used. The consumer starts paused.
    """
    room, seat = seat_of(request, body.call_id)
    consumer = await seat.consume(body)
    paused = consumer.producer_paused or room.is_held(consumer.id)
    return created(ConsumerCreated(consumer.id, consumer.producer_id, consumer.kind, consumer.rtp_parameters, paused))


@routes.post("/rtc/consumers/{consumer_id}/resume")
@answers({200: Resumed}, *OF_AN_OBJECT, ConsumerNotFound, AlreadyResumed)
async def resume_consumer(request: web.Request) -> web.Response:
    """RTC-06: start receiving."""
    consumer_id = request.match_info["consumer_id"]
    room = room_with(request, consumer_id, ConsumerNotFound(consumer_id))
    await room.seat(claims(request).person).resume_consumer(consumer_id)
    return json_response(Resumed())


@routes.post("/rtc/consumers/{consumer_id}/pause")
@answers({200: Paused}, *OF_AN_OBJECT, ConsumerNotFound)
async def pause_consumer(request: web.Request) -> web.Response:
    """Stop receiving. A second time changes nothing."""
    consumer_id = request.match_info["consumer_id"]
    room = room_with(request, consumer_id, ConsumerNotFound(consumer_id))
    await room.seat(claims(request).person).pause_consumer(consumer_id)
    return json_response(Paused())


@routes.delete("/rtc/rooms/{call_id}/cleanup")
@answers({200: RoomCleaned}, *IN_A_ROOM, LedgerUnavailable)
async def clean_up(request: web.Request) -> web.Response:
    """RTC-07: close the room, and end the call where it is live. The counts are of what this request closed: zeros
    where the call has ended before."""
    released = await request.app[CALLS].clean_up(claims(request), request.match_info["call_id"])
    return json_response(RoomCleaned(Released(*released)))


@routes.get("/rtc/rooms/{call_id}/producers")
@answers({200: ProducerList}, RoomNotFound, Forbidden, WorkerUnavailable)
async def list_producers(request: web.Request) -> web.Response:
    """The producers in a room, for its parties and for admins."""
    asking = claims(request)
    room = room_named(request, request.match_info["call_id"], None if asking.is_admin else asking.person)
    listed = tuple(
        ListedProducer(
            one.producer.id,
            room.parties.person(one.party).id,
            one.party,
            one.producer.kind,
            one.producer.paused or room.held,
        )
        for one in room.producers.values()
    )
    return json_response(ProducerList(listed))


@routes.post("/rtc/producers/{producer_id}/pause")
@answers({200: Paused}, *OF_AN_OBJECT, ProducerNotFound)
async def pause_producer(request: web.Request) -> web.Response:
    """Mute at the server: nothing is forwarded, and the other party is told."""
    await set_producer_paused(request, paused=True)
    return json_response(Paused())


@routes.post("/rtc/producers/{producer_id}/resume")
@answers({200: Resumed}, *OF_AN_OBJECT, ProducerNotFound)
async def resume_producer(request: web.Request) -> web.Response:
    """Unmute."""
    await set_producer_paused(request, paused=False)
    return json_response(Resumed())


@routes.delete("/rtc/producers/{producer_id}")
@answers({200: Closed}, Forbidden, ProducerNotFound)
async def delete_producer(request: web.Request) -> web.Response:
    """Stop sending for good."""
    producer_id = request.match_info["producer_id"]
    room = room_with(request, producer_id, ProducerNotFound(producer_id))
    room.seat(claims(request).person).close_producer(producer_id)
    return json_response(Closed())


@routes.delete("/rtc/transports/{transport_id}")
@answers({200: Closed}, Forbidden, TransportNotFound)
async def delete_transport(request: web.Request) -> web.Response:
    """Close a transport, and its producers and consumers with it."""
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id))
    room.seat(claims(request).person).close_transport(transport_id)
    return json_response(Closed())


@routes.post("/rtc/transports/{transport_id}/restart-ice")
@answers({200: IceRestarted}, *OF_AN_OBJECT, TransportNotFound)
async def restart_ice(request: web.Request) -> web.Response:
    """New ICE credentials for a transport, with which the client restarts ICE."""
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id))
    ice_parameters = await room.seat(claims(request).person).restart_ice(transport_id)
    return json_response(IceRestarted(ice_parameters))


@routes.get("/rtc/transports/{transport_id}/stats")
@answers({200: TransportStatistics}, *OF_AN_OBJECT, TransportNotFound)
async def get_transport_stats(request: web.Request) -> web.Response:
    """A transport's statistics, for its owner and for admins."""
    transport_id = request.match_info["transport_id"]
    transport = readable(request, transport_id, lambda where: where.transports, TransportNotFound(transport_id))
    stats = await transport.transport.get_stats()
    return json_response(TransportStatistics(tuple(map(transport_stats, stats))))


@routes.get("/rtc/producers/{producer_id}/stats")
@answers({200: StreamStatistics}, *OF_AN_OBJECT, ProducerNotFound)
async def get_producer_stats(request: web.Request) -> web.Response:
    """A producer's statistics, one entry for each RTP stream; none before its first packet."""
    producer_id = request.match_info["producer_id"]
    producer = readable(request, producer_id, lambda where: where.producers, ProducerNotFound(producer_id))
    stats = await producer.producer.get_stats()
    return json_response(StreamStatistics(tuple(StreamStats(**one) for one in stats)))


@routes.get("/rtc/consumers/{consumer_id}/stats")
@answers({200: StreamStatistics}, *OF_AN_OBJECT, ConsumerNotFound)
async def get_consumer_stats(request: web.Request) -> web.Response:
    """A consumer's statistics: first its own stream, then the producer's."""
    consumer_id = request.match_info["consumer_id"]
    consumer = readable(request, consumer_id, every_consumer, ConsumerNotFound(consumer_id))
    with unless_gone(consumer_id):
        stats = await consumer.consumer.get_stats()
    return json_response(StreamStatistics(tuple(StreamStats(**one) for one in stats)))


def seat_of(request: web.Request, call_id: str) -> tuple[Room, Seat]:
    """The room of a call, and where whoever asks sits in it. Raises RoomNotFound; Forbidden for strangers, and for
    admins who do not supervise the call."""
    asking = claims(request)
    room = room_named(request, call_id, None if asking.is_admin else asking.person)
    return room, room.seat(asking.person)


def room_named(request: web.Request, call_id: str, person: Person | None) -> Room:
    """The room of a preflight or a call. Raises RoomNotFound; Forbidden for strangers, where ``person`` is given."""
    return request.app[PREFLIGHTS].room(call_id, person) or request.app[REGISTRY].room(call_id, person)


def room_with(request: web.Request, object_id: str, missing: CallError, call_id: str | None = None) -> Room:
    """The room that holds the object. Raises ``missing`` where there is none, or ``call_id`` names another call than
    its own."""
    room = request.app[REGISTRY].room_with(object_id)
    if call_id is not None:
        asking = claims(request)
        named = room_named(request, call_id, None if asking.is_admin else asking.person)
        room = named if room is named else None
    if room is None:
        raise missing
    return room


async def set_producer_paused(request: web.Request, *, paused: bool) -> None:
    producer_id = request.match_info["producer_id"]
    room = room_with(request, producer_id, ProducerNotFound(producer_id))
    await room.seat(claims(request).person).set_producer_paused(producer_id, paused)


def readable(
    request: web.Request, object_id: str, among: Callable[[Room | Booth], Mapping[str, Any]], missing: CallError
) -> Any:
    """An object of a party's, for that party and for admins; or what a supervisor has there, for that admin.

    Raises ``missing`` where there is none or it is somebody else's, Forbidden for strangers to the call.
    """
    asking = claims(request)
    room = room_with(request, object_id, missing)
    found = among(room).get(object_id)
    if asking.is_admin:
        booth = room.booths.get(asking.user_id)
        found = found or (among(booth).get(object_id) if booth is not None else None)
    elif found is None or found.party != room.role_of(asking.person):
        raise missing
    if found is None:
        raise missing
    return found


def every_consumer(where: Room | Booth) -> Mapping[str, Any]:
    return where.consumers if isinstance(where, Booth) else {**where.consumers, **where.offer_consumers}


def transport_stats(told: Mapping[str, Any]) -> TransportStats:
    selected = told.get("ice_selected_tuple")
    return TransportStats(**{**told, "ice_selected_tuple": TupleStats(**selected) if selected else UNSET})
