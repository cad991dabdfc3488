"""What every transport does: carry producers in and consumers out. How it meets the network is the subclass's part."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import ClassVar, NamedTuple

from worker_bridge import ortc, rtp_wire
from worker_bridge.channel import Body, Channel
from worker_bridge.consumer import Consumer
from worker_bridge.errors import InvalidParameters, NotFound
from worker_bridge.producer import Producer, tracing
from worker_bridge.resource import AppData, Resource, new_id
from worker_bridge.rtp import MediaKind, RtcpParameters, RtpCapabilities, RtpEncodingParameters, RtpParameters
from worker_bridge.stats import Stats, transport_stats
from worker_bridge.trace import TRANSPORT_TRACES, trace_from_wire, trace_types

LAST_MID = 100_000_000  # consumers' mids count up to here and start again
BITRATE_LIMIT = 2**63  # bits per second
LEAST_OUTGOING_BITRATE = 30_000  # bits per second; 0 takes a limit away


class RouterSide(NamedTuple):
    """What a transport sees of its router."""

    id: str
    rtp_capabilities: RtpCapabilities
    producers: dict[str, Producer]


class Transport(Resource):
    """Events: ``newproducer(producer)``, ``newconsumer(consumer)``, ``trace(Trace)``, ``routerclose()``,
    ``listenserverclose()``, ``close(reason)``."""

    row = "transport"
    stats_type: ClassVar[str]

    def __init__(self, transport_id: str, channel: Channel, router: RouterSide) -> None:
        super().__init__(transport_id, channel, router.id)
        self._router = router
        self._cname: str | None = None
        self._next_mid = 0

    async def produce(
        self,
        kind: MediaKind,
        rtp_parameters: RtpParameters,
        *,
        paused: bool = False,
        key_frame_request_delay_ms: int = 0,
        traces: tuple[str, ...] = (),
        app_data: AppData | None = None,
    ) -> Producer:
        """Take in what the far end sends. Every producer of a transport carries the CNAME of the first (RFC 8834 §4.9).
        ``traces`` are on from before its first packet, as by ``Producer.enable_trace_event``.

        Raises InvalidParameters or Unsupported (the worker never sees those), or what any request raises.
        """
        self._require_open()
        capabilities = self._router.rtp_capabilities
        parameters = ortc.validate_parameters(self._with_encoding_and_cname(rtp_parameters), kind)
        parameters, mapping = ortc.producer_mapping(parameters, capabilities)
        consumable = ortc.consumable_parameters(kind, parameters, capabilities, mapping)
        self._cname = parameters.rtcp.cname
        producer = Producer(new_id(), self._channel, self.id, kind, parameters, consumable, paused=paused)
        body: Body = {
            "producer_id": producer.id,
            "kind": kind.upper(),
            "rtp_parameters": rtp_wire.parameters_to_wire(parameters),
            "rtp_mapping": rtp_wire.mapping_to_wire(mapping),
            "paused": paused,
            "key_frame_request_delay": key_frame_request_delay_ms,
        }
        then = [tracing(*traces)] if traces else []
        answer = await self._create(producer, "TRANSPORT_PRODUCE", body, app_data=app_data, then=then)
        producer.type = answer["type"].lower()
        self._router.producers[producer.id] = producer
        producer.forget_in(self._router.producers)
        self._emit("newproducer", producer)
        return producer

    async def consume(
        self,
        producer_id: str,
        rtp_capabilities: RtpCapabilities,
        *,
        paused: bool = False,
        mid: str | None = None,
        ignore_dtx: bool = False,
        app_data: AppData | None = None,
    ) -> Consumer:
        """Send a producer of this router to the far end, as far as its capabilities go.

        Raises NotFound for an unknown producer, Unsupported where no codec matches; then as ``produce``.
        """
        self._require_open()
        producer = self._router.producers.get(producer_id)
        if producer is None:
            raise NotFound("TRANSPORT_CONSUME", f"no producer {producer_id} in router {self._router.id}")
        parameters = ortc.consumer_parameters(
            producer.consumable_rtp_parameters,
            ortc.validate_capabilities(rtp_capabilities),
            enable_rtx=producer.kind == "video",
        )
        parameters = replace(parameters, mid=mid if mid is not None else self._take_mid())
        consumer = Consumer(new_id(), self._channel, self.id, producer_id, producer.kind, parameters, producer.type)
        body: Body = {
            "consumer_id": consumer.id,
            "producer_id": producer_id,
            "kind": producer.kind.upper(),
            "rtp_parameters": rtp_wire.parameters_to_wire(parameters),
            "type": producer.type.upper(),
            "consumable_rtp_encodings": rtp_wire.encodings_to_wire(producer.consumable_rtp_parameters.encodings),
            "paused": paused,
            "ignore_dtx": ignore_dtx,
        }
        consumer._created(await self._create(consumer, "TRANSPORT_CONSUME", body, app_data=app_data))
        self._emit("newconsumer", consumer)
        return consumer

    async def dump(self) -> Body:
        return await self._request("TRANSPORT_DUMP")

    async def get_stats(self) -> list[Stats]:
        return transport_stats(await self._request("TRANSPORT_GET_STATS"), self.stats_type)

    async def set_max_incoming_bitrate(self, bitrate: int) -> None:
        """Bits per second that the far end is told to keep below (REMB); 0 for no limit."""
        await self._set_bitrate("TRANSPORT_SET_MAX_INCOMING_BITRATE", "max_incoming_bitrate", bitrate, least=0)

    async def set_max_outgoing_bitrate(self, bitrate: int) -> None:
        """Bits per second that are sent at most; 0 for no limit, else at least 30,000."""
        field = "max_outgoing_bitrate"
        await self._set_bitrate("TRANSPORT_SET_MAX_OUTGOING_BITRATE", field, bitrate, least=LEAST_OUTGOING_BITRATE)

    async def set_min_outgoing_bitrate(self, bitrate: int) -> None:
        field = "min_outgoing_bitrate"
        await self._set_bitrate("TRANSPORT_SET_MIN_OUTGOING_BITRATE", field, bitrate, least=LEAST_OUTGOING_BITRATE)

    async def enable_trace_event(self, *types: str) -> None:
        """Trace ``probation`` or ``bwe`` from now on, and nothing else."""
        await self._request("TRANSPORT_ENABLE_TRACE_EVENT", {"events": trace_types(types, TRANSPORT_TRACES)})

    async def _set_bitrate(self, method: str, field: str, bitrate: int, *, least: int) -> None:
        if bitrate != 0 and not least <= bitrate < BITRATE_LIMIT:
            raise InvalidParameters(f"{field} {bitrate} is neither 0 nor {least} or more")
        await self._request(method, {field: bitrate})

    def _with_encoding_and_cname(self, parameters: RtpParameters) -> RtpParameters:
        cname = self._cname or parameters.rtcp.cname or secrets.token_hex(4)
        if parameters.encodings and parameters.rtcp.cname == cname:
            return parameters
        return replace(
            parameters,
            encodings=parameters.encodings or (RtpEncodingParameters(),),
            rtcp=RtcpParameters(cname, parameters.rtcp.reduced_size),
        )

    def _take_mid(self) -> str:
        mid, self._next_mid = self._next_mid, (self._next_mid + 1) % LAST_MID
        return str(mid)

    def _notified(self, event: str, body: Body) -> None:
        if event == "TRANSPORT_TRACE":
            self._emit("trace", trace_from_wire(body))
        else:
            super()._notified(event, body)
