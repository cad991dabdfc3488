"""What stands in a dump, for type checkers: the worker's own names, as ``dumps`` makes them readable.

What is ``NotRequired`` stands only where there is one. A release of the worker may add to these, and take away.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from worker_bridge.connectivity import (
    DtlsRole,
    DtlsState,
    FingerprintAlgorithm,
    IceState,
    Protocol,
    SrtpCryptoSuite,
)
from worker_bridge.rtp import MediaKind, RtpParameters, RtpType
from worker_bridge.sctp import SctpState, SctpStreamParameters
from worker_bridge.stats import TupleStats
from worker_bridge.trace import ConsumerTrace, ProducerTrace, TransportTrace


class HandlersDump(TypedDict):
    """Ids of all that can be asked, and of all that can be notified."""

    channel_request_handlers: list[str]
    channel_notification_handlers: list[str]


class WorkerDump(TypedDict):
    """A worker: its process, and what is directly in it."""

    pid: int
    web_rtc_server_ids: list[str]
    router_ids: list[str]
    channel_message_handlers: HandlersDump


class ResourceUsage(TypedDict, total=False):
    """``getrusage(2)``: times in milliseconds, ``ru_maxrss`` in KiB. All of it, or nothing before the first answer."""

    ru_utime: int
    ru_stime: int
    ru_maxrss: int
    ru_ixrss: int
    ru_idrss: int
    ru_isrss: int
    ru_minflt: int
    ru_majflt: int
    ru_nswap: int
    ru_inblock: int
    ru_oublock: int
    ru_msgsnd: int
    ru_msgrcv: int
    ru_nsignals: int
    ru_nvcsw: int
    ru_nivcsw: int


class SocketDump(TypedDict):
    """Where a server listens."""

    ip: str
    port: int


class IceUserDump(TypedDict):
    """By which name packets find which transport."""

    local_ice_username_fragment: str
    web_rtc_transport_id: str


class WebRtcServerDump(TypedDict):
    """A WebRTC server."""

    id: str
    udp_sockets: list[SocketDump]
    tcp_servers: list[SocketDump]
    web_rtc_transport_ids: list[str]
    local_ice_username_fragments: list[IceUserDump]


class RouterDump(TypedDict):
    """A router: what it holds, and who consumes what."""

    id: str
    transport_ids: list[str]
    rtp_observer_ids: list[str]
    map_producer_id_consumer_ids: dict[str, list[str]]
    map_consumer_id_producer_id: dict[str, str]
    map_producer_id_observer_ids: dict[str, list[str]]
    map_data_producer_id_data_consumer_ids: dict[str, list[str]]
    map_data_consumer_id_data_producer_id: dict[str, str]


class HeaderExtensionsDump(TypedDict):
    """Under which numbers the far end sends them."""

    mid: NotRequired[int]
    rid: NotRequired[int]
    rrid: NotRequired[int]
    abs_send_time: NotRequired[int]
    transport_wide_cc01: NotRequired[int]


class RtpListenerDump(TypedDict):
    """Whose a packet is: ids of producers."""

    ssrc_table: dict[int, str]
    mid_table: dict[str, str]
    rid_table: dict[str, str]


class SctpListenerDump(TypedDict):
    """Whose a message is: ids of data producers."""

    stream_id_table: dict[int, str]


class SctpDump(TypedDict):
    """An association's sizes, in bytes."""

    port: int
    max_send_message_size: int
    max_receive_message_size: int
    send_buffer_size: int
    per_stream_send_queue_limit: int
    max_receiver_window_buffer_size: int
    is_data_channel: bool


class SctpStreamsDump(TypedDict):
    """How many streams were agreed on."""

    negotiated_max_outbound_streams: int
    negotiated_max_inbound_streams: int


class TransportDump(TypedDict):
    """Any transport."""

    id: str
    direct: bool
    producer_ids: list[str]
    consumer_ids: list[str]
    data_producer_ids: list[str]
    data_consumer_ids: list[str]
    map_ssrc_consumer_id: dict[int, str]
    map_rtx_ssrc_consumer_id: dict[int, str]
    recv_rtp_header_extensions: HeaderExtensionsDump
    rtp_listener: RtpListenerDump
    max_send_message_size: int
    max_receive_message_size: int
    sctp_parameters: NotRequired[SctpDump]
    sctp_state: NotRequired[SctpState]
    sctp_negotiated_capabilities: NotRequired[SctpStreamsDump]
    sctp_listener: NotRequired[SctpListenerDump]
    trace_event_types: list[TransportTrace]


class IceParametersDump(TypedDict):
    """A transport's own ICE credentials."""

    username_fragment: str
    password: str
    ice_lite: bool


class IceCandidateDump(TypedDict):
    """Where a transport can be reached."""

    foundation: str
    priority: int
    address: str
    protocol: Protocol
    port: int
    type: Literal["host"]
    tcp_type: NotRequired[Literal["passive"]]


class FingerprintDump(TypedDict):
    """A hash of the worker's certificate."""

    algorithm: FingerprintAlgorithm
    value: str


class DtlsParametersDump(TypedDict):
    """A transport's own part in DTLS."""

    fingerprints: list[FingerprintDump]
    role: DtlsRole


class WebRtcTransportDump(TransportDump, TypedDict):
    """A transport with ICE and DTLS."""

    ice_role: Literal["controlled", "controlling"]
    ice_parameters: IceParametersDump
    ice_candidates: list[IceCandidateDump]
    ice_state: IceState
    ice_selected_tuple: NotRequired[TupleStats]
    dtls_parameters: DtlsParametersDump
    dtls_state: DtlsState


class SrtpDump(TypedDict):
    """A transport's own key."""

    crypto_suite: SrtpCryptoSuite
    key_base64: str


class PlainTransportDump(TransportDump, TypedDict):
    """A transport without ICE."""

    rtcp_mux: bool
    comedia: bool
    tuple: TupleStats
    rtcp_tuple: NotRequired[TupleStats]
    srtp_parameters: NotRequired[SrtpDump]


class PipeTransportDump(TransportDump, TypedDict):
    """One end of a pipe."""

    tuple: TupleStats
    rtx: bool
    srtp_parameters: NotRequired[SrtpDump]


class CodecMappingDump(TypedDict):
    """A producer's payload type, and the router's."""

    payload_type: int
    mapped_payload_type: int


class EncodingMappingDump(TypedDict):
    """A producer's stream, and the router's SSRC for it."""

    rid: NotRequired[str]
    ssrc: NotRequired[int]
    mapped_ssrc: int


class RtpMappingDump(TypedDict):
    """From a producer's numbers to the router's."""

    codecs: list[CodecMappingDump]
    encodings: list[EncodingMappingDump]


class RtxParamsDump(TypedDict):
    """A stream of retransmissions."""

    ssrc: int
    payload_type: int
    mime_type: str
    clock_rate: int
    rrid: NotRequired[str]
    cname: str


class RtxStreamDump(TypedDict):
    """A stream of retransmissions."""

    params: RtxParamsDump


class RtpStreamParamsDump(TypedDict):
    """How a stream of packets was set up."""

    encoding_idx: int
    ssrc: int
    payload_type: int
    mime_type: str
    clock_rate: int
    rid: NotRequired[str]
    cname: str
    rtx_ssrc: NotRequired[int]
    rtx_payload_type: NotRequired[int]
    use_nack: bool
    use_pli: bool
    use_fir: bool
    use_in_band_fec: bool
    use_dtx: bool
    spatial_layers: int
    temporal_layers: int


class RtpStreamDump(TypedDict):
    """A stream of packets; ``score`` from 0 to 10."""

    params: RtpStreamParamsDump
    score: int
    rtx_stream: NotRequired[RtxStreamDump]


class ProducerDump(TypedDict):
    """A producer; ``rtp_streams`` are those that have come."""

    id: str
    kind: MediaKind
    type: RtpType
    rtp_parameters: RtpParameters
    rtp_mapping: RtpMappingDump
    rtp_streams: list[RtpStreamDump]
    trace_event_types: list[ProducerTrace]
    paused: bool


class RtxDump(TypedDict):
    """Where an encoding's retransmissions go."""

    ssrc: int


class EncodingDump(TypedDict):
    """An encoding of what can be consumed."""

    ssrc: NotRequired[int]
    rid: NotRequired[str]
    codec_payload_type: NotRequired[int]
    rtx: NotRequired[RtxDump]
    dtx: bool
    scalability_mode: NotRequired[str]
    max_bitrate: NotRequired[int]


class ConsumerDump(TypedDict):
    """A consumer. A layer stands only where one is wanted, aimed at or sent."""

    id: str
    type: RtpType
    producer_id: str
    kind: MediaKind
    rtp_parameters: RtpParameters
    consumable_rtp_encodings: list[EncodingDump]
    supported_codec_payload_types: list[int]
    trace_event_types: list[ConsumerTrace]
    paused: bool
    producer_paused: bool
    priority: int
    rtp_streams: list[RtpStreamDump]
    preferred_spatial_layer: NotRequired[int]
    target_spatial_layer: NotRequired[int]
    current_spatial_layer: NotRequired[int]
    preferred_temporal_layer: NotRequired[int]
    target_temporal_layer: NotRequired[int]
    current_temporal_layer: NotRequired[int]


class DataProducerDump(TypedDict):
    """A data producer."""

    id: str
    type: Literal["sctp", "direct"]
    sctp_stream_parameters: NotRequired[SctpStreamParameters]
    label: str
    protocol: str
    paused: bool


class DataConsumerDump(TypedDict):
    """A data consumer; amounts in bytes."""

    id: str
    data_producer_id: str
    type: Literal["sctp", "direct"]
    sctp_stream_parameters: NotRequired[SctpStreamParameters]
    label: str
    protocol: str
    buffered_amount: int
    buffered_amount_low_threshold: int
    paused: bool
    data_producer_paused: bool
    subchannels: list[int]
