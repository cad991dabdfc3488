"""Inside live calls: what of one is not stored; and every transport, producer and consumer of its room, as its worker
sees them now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from app.calls.call import LiveCall
from app.calls.record import flag_line, latest_quality, lowest_mos
from app.clock import now, shifted
from app.media.party_objects import PartyConsumer, PartyProducer, PartyTransport
from app.media.room import Room
from app.media.stats import StreamKind
from app.signaling.hub import Hub
from schemas.cluster import SeenCall
from schemas.live import Live, LiveConsumer, LiveParty, LiveProducer, LiveTransport, SelectedTuple
from schemas.types import PartyRole
from worker_bridge.channel import Body
from worker_bridge.connectivity import TransportTuple
from worker_bridge.errors import BridgeError

ANSWER_WITHIN_S = 1.0
CLOCK_PER_MS = {"AUDIO": 48, "VIDEO": 90}  # RTP time units (RFC 7587 §4.1; RFC 7741 §4.1, RFC 6184 §8.2.1)

Answers = Mapping[str, Body]
"""The worker's answers by the object's id; objects without an answer are left out."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The numbers of one producer or consumer, all its streams together; None where the worker did not answer."""

    packets: int | None = None
    bytes: int | None = None
    bitrate: int | None = None
    packets_lost: int | None = None
    loss_percent: float | None = None
    jitter_ms: float | None = None
    round_trip_ms: float | None = None
    score: int | None = None


def seen_call(call: LiveCall) -> SeenCall:
    """What of a live call is not stored."""
    return SeenCall(
        call_id=call.id,
        worker=call.room.worker_index if call.room is not None else None,
        talk_seconds=int(call.clock.talked_at(now().monotonic)),
        flags=tuple(flag_line(call, flag) for flag in call.flags.standing),
        mos=lowest_mos(latest_quality(call)),
    )


async def inspect_call(call: LiveCall, hub: Hub) -> Live:
    """A live call's room. Fields that the worker knows are None where it does not answer in time; the rest is always
    there."""
    room = call.room
    answers = await ask(room) if room is not None else {}
    parties = tuple(party(call, role, hub, answers) for role in call.liveness)
    return Live(room.worker_index if room is not None else None, parties)


async def ask(room: Room) -> Answers:
    """Ask the worker for the statistics of everything in the room, in one write."""
    asked = [
        *(("TRANSPORT_GET_STATS", object_id) for object_id in room.transports),
        *(("PRODUCER_GET_STATS", object_id) for object_id in room.producers),
        *(("CONSUMER_GET_STATS", object_id) for object_id in room.consumers),
    ]
    try:
        answers = room.channel.request_all(asked)
    except BridgeError:  # the worker is gone, and the call ends for it
        return {}
    if answers:
        await asyncio.wait(answers, timeout=ANSWER_WITHIN_S)
    found = {}
    for (_, object_id), answer in zip(asked, answers, strict=True):
        if not answer.done():
            answer.cancel()
        elif answer.exception() is None:
            found[object_id] = answer.result()
    return found


def party(call: LiveCall, role: PartyRole, hub: Hub, answers: Answers) -> LiveParty:
    room, liveness = call.room, call.liveness[role]
    transports = [one for one in room.transports.values() if one.party == role] if room else []
    producers = [one for one in room.producers.values() if one.party == role] if room else []
    consumers = [one for one in room.consumers.values() if one.party == role] if room else []
    return LiveParty(
        user_id=liveness.person.id,
        role=role,
        sockets=hub.sockets_of(liveness.person),
        last_rtp_at=utc(liveness.last_rtp),
        transports=tuple(transport(one, answers.get(one.transport.id)) for one in transports),
        producers=tuple(producer(one, answers.get(one.producer.id), room) for one in producers if room),
        consumers=tuple(consumer(one, answers.get(one.consumer.id)) for one in consumers),
    )


def transport(owned: PartyTransport, answer: Body | None) -> LiveTransport:
    known = owned.transport
    base = answer["base"] if answer is not None else {}
    return LiveTransport(
        transport_id=known.id,
        direction=owned.direction,
        ice_state=known.ice_state,
        dtls_state=known.dtls_state,
        selected_tuple=selected(known.ice_selected_tuple),
        bytes_received=base.get("bytes_received"),
        bytes_sent=base.get("bytes_sent"),
    )


def selected(found: TransportTuple | None) -> SelectedTuple | None:
    if found is None:
        return None
    return SelectedTuple(found.protocol, found.local_address, found.local_port, found.remote_ip, found.remote_port)


def producer(owned: PartyProducer, answer: Body | None, room: Room) -> LiveProducer:
    known, stream = owned.producer, stream_of(answer, "RecvStats")
    return LiveProducer(
        producer_id=known.id,
        kind=known.kind,
        paused=known.paused,
        packets=stream.packets,
        bytes=stream.bytes,
        bitrate=stream.bitrate,
        packets_lost=stream.packets_lost,
        loss_percent=stream.loss_percent,
        jitter_ms=stream.jitter_ms,
        round_trip_ms=stream.round_trip_ms,
        score=stream.score,
        last_rtp_at=utc(owned.last_rtp),
        level=room.microphones.level(known.id),
    )


def consumer(owned: PartyConsumer, answer: Body | None) -> LiveConsumer:
    known, stream = owned.consumer, stream_of(answer, "SendStats")
    return LiveConsumer(
        consumer_id=known.id,
        producer_id=known.producer_id,
        paused=known.paused,
        packets=stream.packets,
        bitrate=stream.bitrate,
        packets_lost=stream.packets_lost,
        loss_percent=stream.loss_percent,
        jitter_ms=stream.jitter_ms,
        round_trip_ms=stream.round_trip_ms,
        score=stream.score,
    )


def stream_of(answer: Body | None, stats_type: StreamKind) -> Stream:
    found = [entry["data"] for entry in answer["stats"] if entry["data_type"] == stats_type] if answer else []
    bases = [stats["base"]["data"] for stats in found]
    if not found:
        return Stream() if answer is None else Stream(packets=0, bytes=0, bitrate=0, packets_lost=0)
    packets = sum(stats["packet_count"] for stats in found)
    lost = max(0, sum(base["packets_lost"] for base in bases))
    sent = packets + lost if stats_type == "RecvStats" else packets
    return Stream(
        packets=packets,
        bytes=sum(stats["byte_count"] for stats in found),
        bitrate=sum(stats["bitrate"] for stats in found),
        packets_lost=lost,
        loss_percent=round(min(100.0, 100 * lost / sent), 2) if sent else 0.0,
        jitter_ms=round(max(base["jitter"] / CLOCK_PER_MS[base["kind"]] for base in bases), 2),
        round_trip_ms=round(max(base["round_trip_time"] for base in bases), 1) or None,
        score=min(base["score"] for base in bases),
    )


def utc(monotonic: float | None) -> str | None:
    return None if monotonic is None else shifted(now(), monotonic).iso
