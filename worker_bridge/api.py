"""The public names of the bridge, for ``worker_bridge`` itself to hand out."""

from __future__ import annotations

from importlib import resources

from worker_bridge.capabilities import SUPPORTED
from worker_bridge.connectivity import (
    DtlsFingerprint,
    DtlsParameters,
    IceCandidate,
    IceParameters,
    ListenInfo,
    SrtpParameters,
    TransportTuple,
)
from worker_bridge.consumer import Consumer, ConsumerLayers, ConsumerScore
from worker_bridge.data_consumer import DataConsumer
from worker_bridge.data_producer import DataProducer
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.dump_shapes import (
    ConsumerDump,
    DataConsumerDump,
    DataProducerDump,
    PipeTransportDump,
    PlainTransportDump,
    ProducerDump,
    ResourceUsage,
    RouterDump,
    TransportDump,
    WebRtcServerDump,
    WebRtcTransportDump,
    WorkerDump,
)
from worker_bridge.errors import (
    BridgeError,
    InvalidMessage,
    InvalidParameters,
    InvalidRequest,
    ListenRefused,
    Misuse,
    NativeError,
    NotAnswered,
    NotFound,
    RequestRefused,
    ResourceClosed,
    Unsupported,
    VersionMismatch,
    WorkerGone,
    WrongSettings,
)
from worker_bridge.event_stream import EventStream
from worker_bridge.mediasoup_json import from_json, to_json
from worker_bridge.pipe_transport import PipeTransport
from worker_bridge.piping import PipedDataProducer, PipedProducer, PipeOptions
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.pool import ListenAddress, Pool, PoolSettings
from worker_bridge.producer import Producer, ProducerScore, VideoOrientation
from worker_bridge.resource import CloseReason, Resource
from worker_bridge.router import Router
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpHeaderExtensionParameters,
    RtpParameters,
    parameters,
)
from worker_bridge.rtp_observer import ActiveSpeakerObserver, AudioLevelObserver, RtpObserver, Volume
from worker_bridge.scalability import ScalabilityMode, parse_scalability_mode
from worker_bridge.sctp import (
    Message,
    SctpNegotiatedCapabilities,
    SctpOptions,
    SctpParameters,
    SctpStreamParameters,
)
from worker_bridge.stats import DataConsumerStats, DataProducerStats, RtpStreamStats, TransportStats, TupleStats
from worker_bridge.trace import PacketTrace, Trace, TraceInfo
from worker_bridge.transport import Transport
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker, observer
from worker_bridge.worker_settings import WorkerSettings

__all__ = [
    "ActiveSpeakerObserver",
    "AudioLevelObserver",
    "BridgeError",
    "CloseReason",
    "Consumer",
    "ConsumerDump",
    "ConsumerLayers",
    "ConsumerScore",
    "DataConsumer",
    "DataConsumerDump",
    "DataConsumerStats",
    "DataProducer",
    "DataProducerDump",
    "DataProducerStats",
    "DirectTransport",
    "DtlsFingerprint",
    "DtlsParameters",
    "EventStream",
    "IceCandidate",
    "IceParameters",
    "InvalidMessage",
    "InvalidParameters",
    "InvalidRequest",
    "ListenAddress",
    "ListenInfo",
    "ListenRefused",
    "Message",
    "Misuse",
    "NativeError",
    "NotAnswered",
    "NotFound",
    "PacketTrace",
    "PipeOptions",
    "PipeTransport",
    "PipeTransportDump",
    "PipedDataProducer",
    "PipedProducer",
    "PlainTransport",
    "PlainTransportDump",
    "Pool",
    "PoolSettings",
    "Producer",
    "ProducerDump",
    "ProducerScore",
    "RequestRefused",
    "Resource",
    "ResourceClosed",
    "ResourceUsage",
    "Router",
    "RouterDump",
    "RtcpFeedback",
    "RtcpParameters",
    "RtpCapabilities",
    "RtpCodecCapability",
    "RtpCodecParameters",
    "RtpEncodingParameters",
    "RtpHeaderExtension",
    "RtpHeaderExtensionParameters",
    "RtpObserver",
    "RtpParameters",
    "RtpStreamStats",
    "ScalabilityMode",
    "SctpNegotiatedCapabilities",
    "SctpOptions",
    "SctpParameters",
    "SctpStreamParameters",
    "SrtpParameters",
    "Trace",
    "TraceInfo",
    "Transport",
    "TransportDump",
    "TransportStats",
    "TransportTuple",
    "TupleStats",
    "Unsupported",
    "VersionMismatch",
    "VideoOrientation",
    "Volume",
    "WebRtcServer",
    "WebRtcServerDump",
    "WebRtcTransport",
    "WebRtcTransportDump",
    "Worker",
    "WorkerDump",
    "WorkerGone",
    "WorkerSettings",
    "WrongSettings",
    "from_json",
    "observer",
    "parameters",
    "parse_scalability_mode",
    "supported_rtp_capabilities",
    "to_json",
    "version",
]

version: str = resources.files("worker_bridge").joinpath("VERSION").read_text().strip()
"""The release of mediasoup whose worker this is."""


def supported_rtp_capabilities() -> RtpCapabilities:
    """Every codec and header extension that the worker can route: what ``Worker.create_router`` may be given."""
    return SUPPORTED
