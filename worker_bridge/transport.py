"""What every transport does: carry producers in and consumers out, of media and of data.

How it meets the network is the subclass's part.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import ClassVar, Literal

from msgspec.structs import replace

from worker_bridge import ortc, rtp_fbs
from worker_bridge.channel import Body, Channel
from worker_bridge.checks import instance, integer, items, refuse, text
from worker_bridge.consumer import Consumer
from worker_bridge.data_consumer import DataConsumer
from worker_bridge.data_producer import DataProducer
from worker_bridge.dump_shapes import TransportDump
from worker_bridge.dumps import transport_dump
from worker_bridge.errors import InvalidParameters, NotFound, RequestRefused
from worker_bridge.event_names import AnyTransportEvent, TransportEvent, names_of
from worker_bridge.producer import Producer, tracing
from worker_bridge.resource import AppData, CloseReason, Resource
from worker_bridge.rtp import (
    MediaKind,
    RtcpParameters,
    RtpCapabilities,
    RtpEncodingParameters,
    RtpParameters,
    RtpType,
)
from worker_bridge.sctp import (
    SctpNegotiatedCapabilities,
    SctpParameters,
    SctpState,
    SctpStreamParameters,
    StreamIds,
    stream_delivery,
    stream_parameters_to_fbs,
    validate_sctp_stream_parameters,
)
from worker_bridge.stats import TransportStats, transport_stats
from worker_bridge.trace import TRANSPORT_TRACES, ProducerTrace, TransportTrace, trace_from_fbs, trace_types

TransportType = Literal["webrtc", "plain", "pipe", "direct"]

BITRATE_MAX = 2**63 - 1  # bits per second
LEAST_OUTGOING_BITRATE = 30_000  # bits per second; 0 takes a limit away


class RouterContext:
    """What a transport sees of its router, as it is at the moment."""

    __slots__ = ("data_producers", "id", "producers", "rtp_capabilities")

    def __init__(self, router_id: str, rtp_capabilities: RtpCapabilities) -> None:
        self.id = router_id
        self.rtp_capabilities = rtp_capabilities
        self.producers: dict[str, Producer] = {}
        self.data_producers: dict[str, DataProducer] = {}


class Transport(Resource[AnyTransportEvent]):
    """Events: ``newproducer(producer)``, ``newconsumer(consumer)``, ``newdataproducer(data_producer)``,
    ``newdataconsumer(data_consumer)``, ``sctpstatechange(state)``, ``trace(Trace)``, ``routerclose()``,
    ``listenserverclose()``, ``close(reason)``.

    What it says of SCTP is None where it was made without.
    """

    known_events = names_of(TransportEvent)
    resource_kind = "transport"
    type: ClassVar[TransportType]
    stats_type: ClassVar[str]
    assumed_encodings: ClassVar[tuple[RtpEncodingParameters, ...]] = (RtpEncodingParameters(),)
    """Of a producer that names none."""

    sctp_parameters: SctpParameters | None = None
    sctp_state: SctpState | None = None
    sctp_negotiated_capabilities: SctpNegotiatedCapabilities | None = None

    def __init__(self, transport_id: str, channel: Channel, router: RouterContext) -> None:
        super().__init__(transport_id, channel, router.id)
        self._router = router
        self._rtcp: RtcpParameters | None = None  # of its producers
        self._stream_ids: StreamIds | None = None
        self._send_limit = self._receive_limit = 0  # bytes of a message

    async def produce(
        self,
        kind: MediaKind,
        rtp_parameters: RtpParameters,
        *,
        producer_id: str | None = None,
        paused: bool = False,
        key_frame_request_delay_ms: int = 0,
        enable_mediasoup_packet_id_header_extension: bool = False,
        traces: Sequence[ProducerTrace] = (),
        app_data: AppData | None = None,
    ) -> Producer:
        """Take in what the far end sends. Every producer of a transport carries the CNAME of the first (RFC 8834 §4.9).
        ``traces`` are on from before its first packet, as by ``Producer.enable_trace_event``. The packet id extension
        numbers the packets that go to consumers whose capabilities have it.

        Raises InvalidParameters where the parameters are wrong, Unsupported where the router lacks a codec (the worker
        sees neither), RequestRefused where the worker refuses, ResourceClosed where it or the transport is closed.
        """
        self._require_open()
        caps = self._router.rtp_capabilities
        params = ortc.validate_parameters(self._completed(rtp_parameters), kind)
        params, mapping = ortc.producer_mapping(params, caps)
        consumable = ortc.consumable_parameters(kind, params, caps, mapping)
        self._rtcp = params.rtcp
        producer_id = self._channel.new_id() if producer_id is None else text("producer_id", producer_id)
        producer = Producer(producer_id, self._channel, self.id, kind, params, consumable, paused=paused)
        body: Body = {
            "producer_id": producer.id,
            "kind": kind.upper(),
            "rtp_parameters": rtp_fbs.parameters_to_fbs(params),
            "rtp_mapping": rtp_fbs.mapping_to_fbs(mapping),
            "paused": paused,
            "key_frame_request_delay": key_frame_request_delay_ms,
            "enable_mediasoup_packet_id_header_extension": enable_mediasoup_packet_id_header_extension,
        }
        then = [tracing(*items("traces", traces))] if traces else []
        await self._create(producer, "TRANSPORT_PRODUCE", body, app_data=app_data, then=then)
        self._router.producers[producer.id] = producer
        producer.remove_from_on_close(self._router.producers)
        self._emit("newproducer", producer)
        return producer

    async def produce_data(
        self,
        sctp_stream_parameters: SctpStreamParameters | None = None,
        *,
        label: str = "",
        protocol: str = "",
        data_producer_id: str | None = None,
        paused: bool = False,
        app_data: AppData | None = None,
    ) -> DataProducer:
        """Take in the messages of one SCTP stream; on a direct transport, which has no streams, those of ``send``.

        Raises InvalidParameters where stream parameters are missing, or wrong, or given to a direct transport.
        """
        self._require_open()
        if (sctp_stream_parameters is None) is not (self.type == "direct"):
            raise InvalidParameters(f"a {self.type} transport {'has no' if self.type == 'direct' else 'needs'} streams")
        if sctp_stream_parameters is not None:
            sctp_stream_parameters = validate_sctp_stream_parameters(sctp_stream_parameters)
        data_producer = DataProducer(
            self._channel.new_id() if data_producer_id is None else text("data_producer_id", data_producer_id),
            self._channel,
            self.id,
            sctp_stream_parameters,
            label=label,
            protocol=protocol,
            paused=paused,
            message_limit=self._receive_limit,
        )
        body: Body = {
            "data_producer_id": data_producer.id,
            "type": data_producer.type.upper(),
            "sctp_stream_parameters": stream_parameters_to_fbs(sctp_stream_parameters),
            "label": label,
            "protocol": protocol,
            "paused": paused,
        }
        await self._create(data_producer, "TRANSPORT_PRODUCE_DATA", body, app_data=app_data)
        self._router.data_producers[data_producer.id] = data_producer
        data_producer.remove_from_on_close(self._router.data_producers)
        self._emit("newdataproducer", data_producer)
        return data_producer

    async def consume_data(
        self,
        data_producer_id: str,
        *,
        ordered: bool | None = None,
        max_packet_life_time: int | None = None,
        max_retransmits: int | None = None,
        paused: bool = False,
        subchannels: Sequence[int] = (),
        app_data: AppData | None = None,
    ) -> DataConsumer:
        """Send a data producer of this router to the far end, on a stream of its own that delivers as the data
        producer's unless told otherwise; on a direct transport, by ``message`` events.

        With ``subchannels``, only messages for one of these, or for none, come. Raises NotFound where the router
        has no such data producer, InvalidParameters where ways of delivery contradict each other, RequestRefused where
        all streams are taken.
        """
        data_producer = self._data_producer(data_producer_id)
        asked = SctpStreamParameters(0, ordered, max_packet_life_time, max_retransmits)
        delivery = stream_delivery(data_producer.sctp_stream_parameters, asked)
        stream = None if self.type == "direct" else self._take_stream(delivery)
        producers, limit = self._router.data_producers, self._send_limit
        data_consumer = DataConsumer(
            self._channel.new_id(), self._channel, self.id, data_producer, stream, producers, limit
        )
        if stream is not None:
            data_consumer.on_closed(lambda _: self._streams.give_back(stream.stream_id))
        body: Body = {
            "data_consumer_id": data_consumer.id,
            "data_producer_id": data_producer_id,
            "type": data_consumer.type.upper(),
            "sctp_stream_parameters": stream_parameters_to_fbs(stream),
            "label": data_producer.label,
            "protocol": data_producer.protocol,
            "paused": paused,
            "subchannels": items("subchannels", subchannels),
        }
        await self._create(data_consumer, "TRANSPORT_CONSUME_DATA", body, app_data=app_data)
        self._emit("newdataconsumer", data_consumer)
        return data_consumer

    async def dump(self) -> TransportDump:
        """Everything that the worker knows of it, flat; maps as dicts, codes in lower case, nothing absent."""
        return transport_dump(await self._request("TRANSPORT_DUMP"))

    async def get_stats(self) -> list[TransportStats]:
        """One entry: bytes and bitrates (bits per second) of each sort of packets, by direction."""
        return transport_stats(await self._request("TRANSPORT_GET_STATS"), self.stats_type)

    async def set_max_incoming_bitrate(self, bitrate: int) -> None:
        """Bits per second that the far end is told to keep below (REMB); 0 for no limit."""
        await self._set_bitrate("TRANSPORT_SET_MAX_INCOMING_BITRATE", "max_incoming_bitrate", bitrate, least=0)

    async def set_max_outgoing_bitrate(self, bitrate: int) -> None:
        """Bits per second that are sent at most; 0 for no limit, else at least 30,000."""
        field = "max_outgoing_bitrate"
        await self._set_bitrate("TRANSPORT_SET_MAX_OUTGOING_BITRATE", field, bitrate, least=LEAST_OUTGOING_BITRATE)

    async def set_min_outgoing_bitrate(self, bitrate: int) -> None:
        """Bits per second that bandwidth estimation does not go below; 0 for no limit, else at least 30,000."""
        field = "min_outgoing_bitrate"
        await self._set_bitrate("TRANSPORT_SET_MIN_OUTGOING_BITRATE", field, bitrate, least=LEAST_OUTGOING_BITRATE)

    async def enable_trace_event(self, *types: TransportTrace) -> None:
        """Trace ``probation`` or ``bwe`` from now on, and nothing else."""
        await self._request("TRANSPORT_ENABLE_TRACE_EVENT", {"events": trace_types(types, TRANSPORT_TRACES)})

    def _producer(self, producer_id: str) -> Producer:
        self._require_open()
        instance("producer_id", producer_id, str)
        producer = self._router.producers.get(producer_id)
        if producer is None:
            raise NotFound("TRANSPORT_CONSUME", f"no producer {producer_id} in router {self._router.id}")
        return producer

    def _data_producer(self, data_producer_id: str) -> DataProducer:
        self._require_open()
        instance("data_producer_id", data_producer_id, str)
        data_producer = self._router.data_producers.get(data_producer_id)
        if data_producer is None:
            raise NotFound("TRANSPORT_CONSUME_DATA", f"no data producer {data_producer_id} in router {self._router.id}")
        return data_producer

    async def _consume(
        self,
        producer: Producer,
        parameters: RtpParameters,
        consumer_type: RtpType,
        options: Body,
        app_data: AppData | None,
    ) -> Consumer:
        consumer = Consumer(
            self._channel.new_id(),
            self._channel,
            self.id,
            producer.id,
            producer.kind,
            parameters,
            consumer_type,
            self._router.producers,
        )
        body: Body = {
            "consumer_id": consumer.id,
            "producer_id": producer.id,
            "kind": producer.kind.upper(),
            "rtp_parameters": rtp_fbs.parameters_to_fbs(parameters),
            "type": consumer_type.upper(),
            "consumable_rtp_encodings": rtp_fbs.encodings_to_fbs(producer.consumable_rtp_parameters.encodings),
            **options,
        }
        await self._create(consumer, "TRANSPORT_CONSUME", body, app_data=app_data)
        self._emit("newconsumer", consumer)
        return consumer

    @property
    def _streams(self) -> StreamIds:
        if self._stream_ids is None:
            self._stream_ids = StreamIds()
        return self._stream_ids

    def _take_stream(self, delivery: SctpStreamParameters) -> SctpStreamParameters:
        stream_id = self._streams.take()
        if stream_id is None:
            raise RequestRefused("TRANSPORT_CONSUME_DATA", "no SCTP stream is free")
        return replace(delivery, stream_id=stream_id)

    async def _set_bitrate(self, method: str, field: str, bitrate: int, *, least: int) -> None:
        integer("bitrate", bitrate, 0, BITRATE_MAX)
        if 0 < bitrate < least:
            refuse("bitrate", f"{bitrate} is neither 0 nor {least} or more")
        await self._request(method, {field: bitrate})

    def _completed(self, given: RtpParameters) -> RtpParameters:
        """What a producer leaves to its transport."""
        instance("rtpParameters", given, RtpParameters)
        rtcp = self._rtcp_of(given)
        if given.encodings and rtcp is given.rtcp:
            return given
        return replace(given, encodings=given.encodings or self.assumed_encodings, rtcp=rtcp)

    def _rtcp_of(self, parameters: RtpParameters) -> RtcpParameters:
        """A further producer has that of the first."""
        if self._rtcp is not None:
            return parameters.rtcp if parameters.rtcp.cname == self._rtcp.cname else self._rtcp
        return parameters.rtcp if parameters.rtcp.cname else RtcpParameters(secrets.token_hex(4))

    def _set_sctp_state(self, state: SctpState) -> None:
        if self.sctp_state != state:  # the worker repeats itself
            self.sctp_state = state
            self._emit("sctpstatechange", state)

    def _created(self, dump: Body) -> None:
        base = dump["base"]
        self._send_limit, self._receive_limit = base["max_send_message_size"], base["max_receive_message_size"]
        if base["sctp_parameters"] is not None:
            self.sctp_parameters = SctpParameters(**base["sctp_parameters"])
            self.sctp_state = base["sctp_state"].lower()

    def _close(self, reason: CloseReason, *, event: str = "", tell: bool = False) -> None:
        if self.sctp_state is not None:
            self.sctp_state = "closed"
        super()._close(reason, event=event, tell=tell)

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "TRANSPORT_TRACE":
                self._emit("trace", trace_from_fbs(body))
            case "TRANSPORT_SCTP_STATE_CHANGE":
                self._set_sctp_state(body["sctp_state"].lower())
            case "TRANSPORT_SCTP_NEGOTIATED_CAPABILITIES":
                agreed = SctpNegotiatedCapabilities(**body["negotiated_capabilities"])
                self.sctp_negotiated_capabilities = agreed
                self._streams.limit = agreed.negotiated_max_outbound_streams
            case _:
                super()._notified(event, body)
