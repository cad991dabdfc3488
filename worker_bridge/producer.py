"""A stream that an endpoint sends into a router."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from sys import intern

from worker_bridge.channel import Body, Channel
from worker_bridge.checks import octets
from worker_bridge.dump_shapes import ProducerDump
from worker_bridge.dumps import producer_dump
from worker_bridge.event_names import ProducerEvent, names_of
from worker_bridge.flow import Pausable
from worker_bridge.resource import Asked
from worker_bridge.rtp import MediaKind, RtpParameters, RtpType
from worker_bridge.stats import RtpStreamStats, packet_count, stream_stats
from worker_bridge.trace import PRODUCER_TRACES, ProducerTrace, require_traces, trace_from_fbs, trace_types
from worker_bridge.value import Value

PACKET_LIMIT = 65_536  # bytes of an RTP packet


class ProducerScore(Value, frozen=True):
    """How well one encoding arrives, 0 (dead or never seen) to 10."""

    encoding_idx: int
    ssrc: int
    score: int
    rid: str | None = None


class VideoOrientation(Value, frozen=True):
    """How the sender's camera was held: from the back or not, mirrored or not, and turned by 0, 90, 180 or 270 degrees
    clockwise (3GPP TS 26.114 §7.4.5)."""

    camera: bool
    flip: bool
    rotation: int


class Producer(Pausable[ProducerEvent]):
    """Events: ``score(tuple[ProducerScore, ...])``, ``trace(Trace)``, ``videoorientationchange(VideoOrientation)``,
    ``pause()``, ``resume()``, ``transportclose()``, ``close(reason)``."""

    known_events = names_of(ProducerEvent)
    resource_kind = "producer"
    methods = "PRODUCER"

    type: RtpType = "simple"
    score: tuple[ProducerScore, ...] = ()
    _on_trace: Callable[[Producer, str, Body], object] | None = None

    def __init__(
        self,
        producer_id: str,
        channel: Channel,
        transport_id: str,
        kind: MediaKind,
        rtp_parameters: RtpParameters,
        consumable_rtp_parameters: RtpParameters,
        *,
        paused: bool,
    ) -> None:
        super().__init__(producer_id, channel, transport_id)
        self.kind = kind
        self.rtp_parameters = rtp_parameters
        self.consumable_rtp_parameters = consumable_rtp_parameters
        """What the router can send on of it, before it is fitted to one consumer."""
        if paused:
            self.paused = True

    def send(self, packet: bytes | bytearray | memoryview) -> None:
        """Put in an RTP packet (RFC 3550 §5) of ours, at once and in order; nothing answers.

        Meant for direct transports. Many in a row want a pause now and then: see ``DirectTransport.drain``. Raises
        InvalidParameters where the packet is no bytes, or longer than the worker takes.
        """
        self._require_open()
        octets("packet", packet, PACKET_LIMIT)
        self._channel.notify("PRODUCER_SEND", self.id, {"data": packet})

    async def enable_trace_event(self, *types: ProducerTrace) -> None:
        """Trace ``rtp``, ``keyframe``, ``nack``, ``pli``, ``fir`` or ``sr`` from now on, and nothing else."""
        await self._request(*tracing(*types))

    def on_trace(self, callback: Callable[[Producer, str, Body], object]) -> None:
        """Have ``callback`` called with the producer and each trace, before the event; cheaper than an emitter."""
        self._on_trace = callback

    def stop_tracing(self) -> None:
        """Trace nothing any more; does not wait for the worker, and has nobody called back for what it still sends."""
        self._on_trace = None
        if not self.closed:
            method, body = tracing()
            self._channel.post(method, self.id, body)

    async def dump(self) -> ProducerDump:
        """Everything that the worker knows of it: parameters, their mapping, streams received, which traces are on."""
        return producer_dump(await self._request("PRODUCER_DUMP"))

    async def get_stats(self) -> list[RtpStreamStats]:
        """One entry for each RTP stream that has come so far, none before the first packet: packets, bytes, ``bitrate``
        (bits per second), ``jitter`` (RTP time units, RFC 3550 §6.4.1), ``fraction_lost`` (of 256), ``score``."""
        return stream_stats(await self._request("PRODUCER_GET_STATS"))

    async def get_packet_count(self) -> int:
        """Packets received so far, over all its streams."""
        return packet_count(await self._request("PRODUCER_GET_STATS"))

    def _created(self, answer: Body) -> None:
        self.type = intern(answer["type"].lower())  # type: ignore[assignment]  # of few words

    def _traced(self, trace_type: str, body: Body) -> None:
        if self._on_trace is not None:
            self._on_trace(self, trace_type, body)
        if self._emitter is not None:
            self._emit("trace", trace_from_fbs(body))

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "PRODUCER_SCORE":
                self.score = tuple(
                    ProducerScore(score["encoding_idx"], score["ssrc"], score["score"], score["rid"] or None)
                    for score in body["scores"]
                )
                self._emit("score", self.score)
            case "PRODUCER_TRACE":
                self._traced(body["type"].lower(), body)
            case "PRODUCER_VIDEO_ORIENTATION_CHANGE":
                self._emit("videoorientationchange", VideoOrientation(body["camera"], body["flip"], body["rotation"]))
            case _:
                super()._notified(event, body)


def tracing(*types: ProducerTrace) -> Asked:
    """The request that makes a producer trace these types and no others. Its body is shared: not to be changed."""
    require_traces(types, PRODUCER_TRACES)  # which may be anything, and a cache takes what can be hashed
    return _tracing(types)


@lru_cache
def _tracing(types: tuple[ProducerTrace, ...]) -> Asked:
    return "PRODUCER_ENABLE_TRACE_EVENT", {"events": trace_types(types, PRODUCER_TRACES)}
