"""Messages for the worker, and from it: dicts in, size-prefixed FlatBuffers out, and back. No I/O.

The work is done by the native ``_codec``, which walks a dict by the worker's binary schema: keys as in the schema
(snake_case), enum values as their names, ``[ubyte]`` as ``bytes``, an absent or ``None`` field as absent. Here stand
the rules that the schema cannot tell. The worker verifies nothing, and one wrong message kills every call in it, so
that a message which is not right in every respect is refused before it is sent:

* each method has one body, or none (``REQUEST_BODIES``, ``NOTIFICATION_BODIES``);
* no text carries a NUL, which ends a C string: in the worker's logs and refusals an id would be cut there;
* a frame has at most ``FRAME_LIMIT`` bytes: at more, the worker closes its channel and ends.

Knows nothing of pending requests, of ids that repeat, nor of what a method means.
"""

from __future__ import annotations

from typing import Any, Final

from worker_bridge._codec import Codec
from worker_bridge.errors import InvalidMessage, VersionMismatch

FRAME_LIMIT: Final = 8 * 1024 * 1024  # bytes, with the prefix; the same in both directions
ROOT: Final = "FBS.Message.Message"

REQUEST_BODIES: Final[dict[str, str | None]] = {
    "WORKER_DUMP": None,
    "WORKER_GET_RESOURCE_USAGE": None,
    "WORKER_UPDATE_SETTINGS": "Worker_UpdateSettingsRequest",
    "WORKER_CREATE_WEBRTCSERVER": "Worker_CreateWebRtcServerRequest",
    "WORKER_CREATE_ROUTER": "Worker_CreateRouterRequest",
    "WORKER_WEBRTCSERVER_CLOSE": "Worker_CloseWebRtcServerRequest",
    "WORKER_CLOSE_ROUTER": "Worker_CloseRouterRequest",
    "WEBRTCSERVER_DUMP": None,
    "ROUTER_DUMP": None,
    "ROUTER_CREATE_WEBRTCTRANSPORT": "Router_CreateWebRtcTransportRequest",
    "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER": "Router_CreateWebRtcTransportRequest",
    "ROUTER_CREATE_PLAINTRANSPORT": "Router_CreatePlainTransportRequest",
    "ROUTER_CREATE_PIPETRANSPORT": "Router_CreatePipeTransportRequest",
    "ROUTER_CREATE_DIRECTTRANSPORT": "Router_CreateDirectTransportRequest",
    "ROUTER_CLOSE_TRANSPORT": "Router_CloseTransportRequest",
    "ROUTER_CREATE_ACTIVESPEAKEROBSERVER": "Router_CreateActiveSpeakerObserverRequest",
    "ROUTER_CREATE_AUDIOLEVELOBSERVER": "Router_CreateAudioLevelObserverRequest",
    "ROUTER_CLOSE_RTPOBSERVER": "Router_CloseRtpObserverRequest",
    "TRANSPORT_DUMP": None,
    "TRANSPORT_GET_STATS": None,
    "TRANSPORT_CONNECT": None,
    "TRANSPORT_SET_MAX_INCOMING_BITRATE": "Transport_SetMaxIncomingBitrateRequest",
    "TRANSPORT_SET_MAX_OUTGOING_BITRATE": "Transport_SetMaxOutgoingBitrateRequest",
    "TRANSPORT_SET_MIN_OUTGOING_BITRATE": "Transport_SetMinOutgoingBitrateRequest",
    "TRANSPORT_RESTART_ICE": None,
    "TRANSPORT_PRODUCE": "Transport_ProduceRequest",
    "TRANSPORT_PRODUCE_DATA": "Transport_ProduceDataRequest",
    "TRANSPORT_CONSUME": "Transport_ConsumeRequest",
    "TRANSPORT_CONSUME_DATA": "Transport_ConsumeDataRequest",
    "TRANSPORT_ENABLE_TRACE_EVENT": "Transport_EnableTraceEventRequest",
    "TRANSPORT_CLOSE_PRODUCER": "Transport_CloseProducerRequest",
    "TRANSPORT_CLOSE_CONSUMER": "Transport_CloseConsumerRequest",
    "TRANSPORT_CLOSE_DATAPRODUCER": "Transport_CloseDataProducerRequest",
    "TRANSPORT_CLOSE_DATACONSUMER": "Transport_CloseDataConsumerRequest",
    "PLAINTRANSPORT_CONNECT": "PlainTransport_ConnectRequest",
    "PIPETRANSPORT_CONNECT": "PipeTransport_ConnectRequest",
    "WEBRTCTRANSPORT_CONNECT": "WebRtcTransport_ConnectRequest",
    "PRODUCER_DUMP": None,
    "PRODUCER_GET_STATS": None,
    "PRODUCER_PAUSE": None,
    "PRODUCER_RESUME": None,
    "PRODUCER_ENABLE_TRACE_EVENT": "Producer_EnableTraceEventRequest",
    "CONSUMER_DUMP": None,
    "CONSUMER_GET_STATS": None,
    "CONSUMER_PAUSE": None,
    "CONSUMER_RESUME": None,
    "CONSUMER_SET_PREFERRED_LAYERS": "Consumer_SetPreferredLayersRequest",
    "CONSUMER_SET_PRIORITY": "Consumer_SetPriorityRequest",
    "CONSUMER_REQUEST_KEY_FRAME": None,
    "CONSUMER_ENABLE_TRACE_EVENT": "Consumer_EnableTraceEventRequest",
    "DATAPRODUCER_DUMP": None,
    "DATAPRODUCER_GET_STATS": None,
    "DATAPRODUCER_PAUSE": None,
    "DATAPRODUCER_RESUME": None,
    "DATACONSUMER_DUMP": None,
    "DATACONSUMER_GET_STATS": None,
    "DATACONSUMER_PAUSE": None,
    "DATACONSUMER_RESUME": None,
    "DATACONSUMER_GET_BUFFERED_AMOUNT": None,
    "DATACONSUMER_SET_BUFFERED_AMOUNT_LOW_THRESHOLD": "DataConsumer_SetBufferedAmountLowThresholdRequest",
    "DATACONSUMER_SEND": "DataConsumer_SendRequest",
    "DATACONSUMER_SET_SUBCHANNELS": "DataConsumer_SetSubchannelsRequest",
    "DATACONSUMER_ADD_SUBCHANNEL": "DataConsumer_AddSubchannelRequest",
    "DATACONSUMER_REMOVE_SUBCHANNEL": "DataConsumer_RemoveSubchannelRequest",
    "RTPOBSERVER_PAUSE": None,
    "RTPOBSERVER_RESUME": None,
    "RTPOBSERVER_ADD_PRODUCER": "RtpObserver_AddProducerRequest",
    "RTPOBSERVER_REMOVE_PRODUCER": "RtpObserver_RemoveProducerRequest",
}
"""The body that each request needs, by method. ``TRANSPORT_CONNECT`` is a name that no transport answers to."""

NOTIFICATION_BODIES: Final[dict[str, str | None]] = {
    "WORKER_CLOSE": None,
    "TRANSPORT_SEND_RTCP": "Transport_SendRtcpNotification",
    "PRODUCER_SEND": "Producer_SendNotification",
    "DATAPRODUCER_SEND": "DataProducer_SendNotification",
}
"""The body that each notification to the worker needs. The schema's other events come from the worker."""

_LISTEN_TYPES: Final = {
    "ROUTER_CREATE_WEBRTCTRANSPORT": "ListenIndividual",
    "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER": "ListenServer",
}

Message = dict[str, Any]


class MessageCodec:
    """The codec of one release's schema. Immutable; one serves every worker and thread."""

    def __init__(self, schema: bytes) -> None:
        """``schema``: the worker's binary schema, as ``flatc --binary --schema --bfbs-builtins`` writes it.

        Raises InvalidMessage where it is no such schema, VersionMismatch where it is of another release.
        """
        try:
            self._codec = Codec(schema, ROOT, FRAME_LIMIT)
            methods = self._codec.values("FBS.Request.Method")
            events = self._codec.values("FBS.Notification.Event")
        except ValueError as error:
            raise InvalidMessage(str(error)) from None
        unknown = (methods.keys() ^ REQUEST_BODIES.keys()) | (NOTIFICATION_BODIES.keys() - events.keys())
        if unknown:
            raise VersionMismatch(f"the schema is of another release: it differs in {', '.join(sorted(unknown))}")
        self.methods: Final = methods

    def request(self, request_id: int, method: str, handler_id: str, body: dict[str, Any] | None = None) -> bytes:
        """The frame of a request. ``request_id``: 0 to 2³²-1. ``handler_id``: the id of the object asked, or ``""``.

        Raises InvalidMessage where the body does not fit the method, with the path of the field as seen from the body.
        """
        try:
            body_type = REQUEST_BODIES[method]
        except (KeyError, TypeError):
            raise InvalidMessage(f"method: {method!r} is not one that the worker knows") from None
        if (body is None) is not (body_type is None):
            raise InvalidMessage(_wrong_body(method, body_type))
        message = {"id": request_id, "method": method, "handler_id": handler_id, "body_type": body_type, "body": body}
        try:
            frame = self._codec.encode({"data_type": "Request", "data": message})
        except ValueError as error:
            raise InvalidMessage(_from_body(str(error))) from None
        if method in _CHECKS:
            _CHECKS[method](method, body or {})
        return frame

    def notification(self, event: str, handler_id: str, body: dict[str, Any] | None = None) -> bytes:
        """The frame of a notification to the worker. Raises InvalidMessage where ``request`` would."""
        try:
            body_type = NOTIFICATION_BODIES[event]
        except (KeyError, TypeError):
            raise InvalidMessage(f"event: {event!r} is not one that the worker knows") from None
        if (body is None) is not (body_type is None):
            raise InvalidMessage(_wrong_body(event, body_type))
        message = {"event": event, "handler_id": handler_id, "body_type": body_type, "body": body}
        try:
            return self._codec.encode({"data_type": "Notification", "data": message})
        except ValueError as error:
            raise InvalidMessage(_from_body(str(error))) from None

    def probe(self, request_id: int, method: str, handler_id: str) -> bytes:
        """The frame of a request without the body that its method may need. Kills a worker that knows the handler.

        For finding out what a worker makes of a method's number; ``handler_id`` must be nobody's.
        """
        message = {"id": request_id, "method": method, "handler_id": handler_id}
        return self._codec.encode({"data_type": "Request", "data": message})

    def decode(self, frame: bytes | bytearray | memoryview) -> Message:
        """What one frame says: ``{"data_type": "Response", "data": {"id": 1, "accepted": True, ...}}``.

        ``data_type`` is ``Response``, ``Notification``, ``Log`` or ``Request``. Every field of the schema has its
        key: with the schema's default if it was absent, with ``None`` if there is none. A union ``body`` comes with
        its ``body_type``. An enum value that the schema lacks is an int. Raises InvalidMessage where it is garbage.
        """
        try:
            return self._codec.decode(frame)
        except ValueError as error:
            raise InvalidMessage(str(error)) from None


def _wrong_body(name: str, body_type: str | None) -> str:
    return f"{name} needs a {body_type}" if body_type else f"{name} has no body"


def _check_listen_type(method: str, body: Message) -> None:
    """Two methods share a body, but each reads only its own member of the ``options.listen`` union."""
    expected = _LISTEN_TYPES[method]
    if (listen_type := body["options"]["listen_type"]) != expected:
        raise InvalidMessage(f"options.listen_type: {method} needs {expected}, got {listen_type}")


def _check_listen_infos(_: str, body: Message) -> None:
    """Optional in the schema, not in the worker."""
    if body.get("listen_infos") is None:
        raise InvalidMessage("listen_infos: missing required field")


_CHECKS: Final = {
    "ROUTER_CREATE_WEBRTCTRANSPORT": _check_listen_type,
    "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER": _check_listen_type,
    "WORKER_CREATE_WEBRTCSERVER": _check_listen_infos,
}
"""What the schema can't tell of single bodies that follow it."""


def _from_body(text: str) -> str:
    """The text with its path as the caller sees it: he gave the body, not the envelope around it."""
    for prefix, replacement in (("data.body.", ""), ("data.body:", "body:"), ("data.", "")):
        if text.startswith(prefix):
            return replacement + text.removeprefix(prefix)
    return text
