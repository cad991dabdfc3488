"""A stream that a router sends to an endpoint: another endpoint's producer, as the receiver can take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker_bridge.channel import Body, Channel
from worker_bridge.checks import instance, integer
from worker_bridge.dump_shapes import ConsumerDump
from worker_bridge.dumps import consumer_dump
from worker_bridge.event_names import ConsumerEvent, names_of
from worker_bridge.flow import Pausable, SourceBound
from worker_bridge.resource import CloseReason
from worker_bridge.rtp import MediaKind, RtpParameters, RtpType
from worker_bridge.stats import RtpStreamStats, stream_stats
from worker_bridge.trace import CONSUMER_TRACES, ConsumerTrace, trace_from_fbs, trace_types
from worker_bridge.value import Value, written

PRIORITIES = (1, 255)  # the least and the most


class ConsumerScore(Value, frozen=True):
    """Scores from 0 to 10: of what the receiver gets, of the producer's best, and of each of its encodings."""

    score: int = written(10)
    producer_score: int = written(10)
    producer_scores: tuple[int, ...] = written(())


class ConsumerLayers(Value, frozen=True):
    """Layers of a simulcast or SVC stream, both counted from 0, the worst; no ``temporal_layer`` is the best there is
    (W3C WebRTC-SVC §6)."""

    spatial_layer: int
    temporal_layer: int | None = None


class Consumer(SourceBound[ConsumerEvent]):
    """Events: ``rtp(packet)`` on a direct transport, as bytes; ``producerpause()``, ``producerresume()``,
    ``score(ConsumerScore)``, ``layerschange(layers or None)``, ``trace(Trace)``, ``pause()`` and ``resume()`` when the
    flow really changes, ``producerclose()``, ``transportclose()``, ``close(reason)``."""

    known_events = names_of(ConsumerEvent)
    resource_kind = "consumer"
    methods = "CONSUMER"
    source = "producer"

    priority = 1
    score = ConsumerScore()
    preferred_layers: ConsumerLayers | None = None
    current_layers: ConsumerLayers | None = None
    _on_rtp: Callable[[bytes], object] | None = None

    def __init__(
        self,
        consumer_id: str,
        channel: Channel,
        transport_id: str,
        producer_id: str,
        kind: MediaKind,
        rtp_parameters: RtpParameters,
        consumer_type: RtpType,
        producers: Mapping[str, Pausable],
    ) -> None:
        super().__init__(consumer_id, channel, transport_id)
        self.producer_id = producer_id
        self.kind = kind
        self.rtp_parameters = rtp_parameters
        self.type = consumer_type
        self._sources = producers

    @property
    def producer_paused(self) -> bool:
        """Whether its producer is paused; ``paused`` is about the consumer itself."""
        return self._source_paused

    def on_rtp(self, callback: Callable[[bytes], object]) -> None:
        """Have ``callback`` called with each packet, before the event; cheaper than an emitter."""
        self._on_rtp = callback

    async def set_preferred_layers(self, layers: ConsumerLayers) -> None:
        """Which layers of a simulcast or SVC stream to send at most. Without effect on a simple stream."""
        answer = await self._request("CONSUMER_SET_PREFERRED_LAYERS", {"preferred_layers": layers_to_fbs(layers)})
        self.preferred_layers = _layers(answer.get("preferred_layers"))

    async def set_priority(self, priority: int) -> None:
        """1 (usual) to 255: who gets bandwidth first when there is not enough."""
        integer("priority", priority, *PRIORITIES)
        answer = await self._request("CONSUMER_SET_PRIORITY", {"priority": priority})
        self.priority = answer["priority"]

    async def unset_priority(self) -> None:
        """Back to the usual priority, 1."""
        await self.set_priority(1)

    async def request_key_frame(self) -> None:
        """Have the producer send a key frame. Audio has none: there is nothing to ask for, and where the audio goes to
        another router the worker would not even answer."""
        self._require_open()
        if self.kind == "video":
            await self._request("CONSUMER_REQUEST_KEY_FRAME")

    async def enable_trace_event(self, *types: ConsumerTrace) -> None:
        """Trace ``rtp``, ``keyframe``, ``nack``, ``pli`` or ``fir`` from now on, and nothing else."""
        await self._request("CONSUMER_ENABLE_TRACE_EVENT", {"events": trace_types(types, CONSUMER_TRACES)})

    async def dump(self) -> ConsumerDump:
        """Everything that the worker knows of it: parameters, layers, what is paused, which traces are on."""
        return consumer_dump(await self._request("CONSUMER_DUMP"))

    async def get_stats(self) -> list[RtpStreamStats]:
        """What is sent, then what the producer receives."""
        return stream_stats(await self._request("CONSUMER_GET_STATS"))

    def _created(self, answer: Body) -> None:
        """The worker's answer says what is paused; notifications only tell of changes after it."""
        self.paused = answer["paused"]
        self._source_paused = answer["producer_paused"]
        self.score = _score(answer["score"])
        self.preferred_layers = _layers(answer["preferred_layers"])

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "CONSUMER_RTP":
                if self._on_rtp is not None:
                    self._on_rtp(body["data"])
                self._emit("rtp", body["data"])
            case "CONSUMER_PRODUCER_CLOSE":
                self._close(CloseReason.PRODUCER_CLOSED, event="producerclose")
            case "CONSUMER_PRODUCER_PAUSE":
                self._source_notified(self.producer_id, True)
            case "CONSUMER_PRODUCER_RESUME":
                self._source_notified(self.producer_id, False)
            case "CONSUMER_SCORE":
                self.score = _score(body["score"])
                self._emit("score", self.score)
            case "CONSUMER_LAYERS_CHANGE":
                self.current_layers = _layers(body["layers"])
                self._emit("layerschange", self.current_layers)
            case "CONSUMER_TRACE":
                self._emit("trace", trace_from_fbs(body))
            case _:
                super()._notified(event, body)


def _score(body: Body) -> ConsumerScore:
    return ConsumerScore(body["score"], body["producer_score"], tuple(body["producer_scores"]))


def layers_to_fbs(layers: ConsumerLayers) -> Body:
    instance("preferred_layers", layers, ConsumerLayers)
    return {"spatial_layer": layers.spatial_layer, "temporal_layer": layers.temporal_layer}


def _layers(body: Body | None) -> ConsumerLayers | None:
    return ConsumerLayers(body["spatial_layer"], body["temporal_layer"]) if body else None
