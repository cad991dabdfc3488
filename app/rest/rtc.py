"""RTC-01 to RTC-07 and the other media endpoints: from a checked body to the room, and back.

Order of refusals: the body, the room, whether the caller is a party, the object, the state.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from app.body import body, created, json_response
from app.calls.room import Room, unless_gone
from app.errors import BadRequest, CallError, ConsumerNotFound, ProducerNotFound, TransportNotFound
from app.keys import CALLS, CAPABILITIES, ICE_SERVERS, REGISTRY, SETTINGS, claims
from schemas.base import camel_case, dump
from schemas.consumer import ConsumerCreated, ConsumerCreatedSchema, ConsumeRequest, ConsumeRequestSchema
from schemas.producer import ListedProducer, ProduceRequest, ProduceRequestSchema, ProducerList, ProducerListSchema
from schemas.transport import (
    ConnectTransportRequest,
    ConnectTransportRequestSchema,
    CreateTransportRequest,
    CreateTransportRequestSchema,
    IceRestarted,
    IceRestartedSchema,
    TransportCreated,
    TransportCreatedSchema,
)
from worker_bridge.stats import Stats

routes = web.RouteTableDef()


@routes.get("/rtc/capabilities")
async def get_capabilities(request: web.Request) -> web.Response:
    """RTC-01: what every room's router can receive and send."""
    return web.Response(body=request.app[CAPABILITIES], content_type="application/json", charset="utf-8")


@routes.post("/rtc/transports")
@body(CreateTransportRequestSchema)
async def create_transport(request: web.Request, body: CreateTransportRequest) -> web.Response:
    """RTC-02."""
    user_id = claims(request).user_id
    room = request.app[REGISTRY].room(body.call_id)
    transport = await room.create_transport(user_id, body.direction)
    answer = TransportCreated(
        transport.id,
        transport.ice_parameters,
        transport.ice_candidates,
        transport.dtls_parameters,
        request.app[ICE_SERVERS](user_id),
    )
    return created(dump(TransportCreatedSchema, answer))


@routes.post("/rtc/transports/{transport_id}/connect")
@body(ConnectTransportRequestSchema)
async def connect_transport(request: web.Request, body: ConnectTransportRequest) -> web.Response:
    """RTC-03."""
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id), body.call_id)
    await room.connect(claims(request).user_id, transport_id, body.dtls_parameters)
    return json_response({"connected": True})


@routes.post("/rtc/producers")
@body(ProduceRequestSchema)
async def create_producer(request: web.Request, body: ProduceRequest) -> web.Response:
    """RTC-04. Registers what the caller sends; the call is connected by its first RTP packet, not by this."""
    if body.kind not in request.app[SETTINGS].media_kinds:
        raise BadRequest.at("kind", f"{body.kind} is not enabled on this server")
    producer = await request.app[REGISTRY].room(body.call_id).produce(claims(request).user_id, body)
    return created({"producerId": producer.id})


@routes.post("/rtc/consumers")
@body(ConsumeRequestSchema)
async def create_consumer(request: web.Request, body: ConsumeRequest) -> web.Response:
    """RTC-05."""
    consumer = await request.app[REGISTRY].room(body.call_id).consume(claims(request).user_id, body)
    answer = ConsumerCreated(
        consumer.id, consumer.producer_id, consumer.kind, consumer.rtp_parameters, consumer.producer_paused
    )
    return created(dump(ConsumerCreatedSchema, answer))


@routes.post("/rtc/consumers/{consumer_id}/resume")
async def resume_consumer(request: web.Request) -> web.Response:
    """RTC-06."""
    consumer_id = request.match_info["consumer_id"]
    room = room_with(request, consumer_id, ConsumerNotFound(consumer_id))
    await room.resume_consumer(claims(request).user_id, consumer_id)
    return json_response({"resumed": True})


@routes.post("/rtc/consumers/{consumer_id}/pause")
async def pause_consumer(request: web.Request) -> web.Response:
    consumer_id = request.match_info["consumer_id"]
    room = room_with(request, consumer_id, ConsumerNotFound(consumer_id))
    await room.pause_consumer(claims(request).user_id, consumer_id)
    return json_response({"paused": True})


@routes.delete("/rtc/rooms/{call_id}/cleanup")
async def clean_up(request: web.Request) -> web.Response:
    """RTC-07. Ends a live call first; the counts are of what this request closed."""
    room = request.app[REGISTRY].room(request.match_info["call_id"])
    room.party(claims(request).user_id)
    released = await request.app[CALLS].clean_up(claims(request), room.call_id)
    return json_response({"cleaned": True, "released": released._asdict()})


@routes.get("/rtc/rooms/{call_id}/producers")
async def list_producers(request: web.Request) -> web.Response:
    room = request.app[REGISTRY].room(request.match_info["call_id"])
    if not claims(request).is_admin:
        room.party(claims(request).user_id)
    listed = tuple(
        ListedProducer(one.producer.id, one.user_id, one.producer.kind, one.producer.paused)
        for one in room.producers.values()
    )
    return json_response(dump(ProducerListSchema, ProducerList(listed)))


@routes.post("/rtc/producers/{producer_id}/pause")
async def pause_producer(request: web.Request) -> web.Response:
    """Mute that the server knows of: nothing is forwarded, and the other party is told."""
    await set_producer_paused(request, paused=True)
    return json_response({"paused": True})


@routes.post("/rtc/producers/{producer_id}/resume")
async def resume_producer(request: web.Request) -> web.Response:
    await set_producer_paused(request, paused=False)
    return json_response({"resumed": True})


@routes.delete("/rtc/producers/{producer_id}")
async def delete_producer(request: web.Request) -> web.Response:
    producer_id = request.match_info["producer_id"]
    room = room_with(request, producer_id, ProducerNotFound(producer_id))
    room.close_producer(claims(request).user_id, producer_id)
    return json_response({"closed": True})


@routes.delete("/rtc/transports/{transport_id}")
async def delete_transport(request: web.Request) -> web.Response:
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id))
    room.close_transport(claims(request).user_id, transport_id)
    return json_response({"closed": True})


@routes.post("/rtc/transports/{transport_id}/restart-ice")
async def restart_ice(request: web.Request) -> web.Response:
    transport_id = request.match_info["transport_id"]
    room = room_with(request, transport_id, TransportNotFound(transport_id))
    ice_parameters = await room.restart_ice(claims(request).user_id, transport_id)
    return json_response(dump(IceRestartedSchema, IceRestarted(ice_parameters)))


@routes.get("/rtc/transports/{object_id}/stats")
async def get_transport_stats(request: web.Request) -> web.Response:
    object_id = request.match_info["object_id"]
    room = room_with(request, object_id, TransportNotFound(object_id))
    transport = room.transports.get(object_id)
    if transport is None or not may_read(request, room, transport.user_id):
        raise TransportNotFound(object_id)
    return stats_response(await transport.transport.get_stats())


@routes.get("/rtc/producers/{object_id}/stats")
async def get_producer_stats(request: web.Request) -> web.Response:
    object_id = request.match_info["object_id"]
    room = room_with(request, object_id, ProducerNotFound(object_id))
    producer = room.producers.get(object_id)
    if producer is None or not may_read(request, room, producer.user_id):
        raise ProducerNotFound(object_id)
    return stats_response(await producer.producer.get_stats())


@routes.get("/rtc/consumers/{object_id}/stats")
async def get_consumer_stats(request: web.Request) -> web.Response:
    object_id = request.match_info["object_id"]
    room = room_with(request, object_id, ConsumerNotFound(object_id))
    consumer = room.consumers.get(object_id)
    if consumer is None or not may_read(request, room, consumer.user_id):
        raise ConsumerNotFound(object_id)
    with unless_gone(object_id):
        return stats_response(await consumer.consumer.get_stats())


def room_with(request: web.Request, object_id: str, missing: CallError, call_id: str | None = None) -> Room:
    """The room that holds the object. Naming another call than the object's is naming no object."""
    registry = request.app[REGISTRY]
    room = registry.room_with(object_id)
    if call_id is not None:
        named = registry.room(call_id)
        named.party(claims(request).user_id)
        room = named if room is named else None
    if room is None:
        raise missing
    return room


async def set_producer_paused(request: web.Request, *, paused: bool) -> None:
    producer_id = request.match_info["producer_id"]
    room = room_with(request, producer_id, ProducerNotFound(producer_id))
    await room.set_producer_paused(claims(request).user_id, producer_id, paused)


def may_read(request: web.Request, room: Room, owner: str) -> bool:
    """Statistics are for the owner and for admins; a stranger to the call is Forbidden."""
    if claims(request).is_admin:
        return True
    room.party(claims(request).user_id)
    return claims(request).user_id == owner


def stats_response(stats: list[Stats]) -> web.Response:
    return json_response({"stats": [camel_keys(entry) for entry in stats]})


def camel_keys(value: dict[str, Any]) -> dict[str, Any]:
    return {
        camel_case(key): camel_keys(entry) if isinstance(entry, dict) and key != "bitrate_by_layer" else entry
        for key, entry in value.items()
    }
