"""SCTP's vocabulary as values: what an association may hold and has agreed on, and how one stream of it delivers.

Knows no transport; that asks here which stream ids are free.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from msgspec import field
from msgspec.structs import asdict, force_setattr, replace

from worker_bridge.checks import UINT16_MAX, UINT32_MAX, encoded, instance, integer, octets, refuse
from worker_bridge.value import Value

SctpState = Literal["new", "connecting", "connected", "failed", "closed"]
Payload = str | bytes | bytearray | memoryview

MESSAGE_SIZE: Final = 262_144  # bytes, unless told otherwise
STREAMS_MAX: Final = 65_535  # RFC 8831 §6.2: ids 0 to 65534
# RFC 8831 §8: what a message is, by its payload protocol identifier. SCTP can't carry an empty one.
PPID_STRING, PPID_BINARY, PPID_STRING_EMPTY, PPID_BINARY_EMPTY = 51, 53, 56, 57
PLACEHOLDERS: Final = {PPID_STRING_EMPTY: b" ", PPID_BINARY_EMPTY: b"\0"}


class SctpOptions(Value, frozen=True):
    """What a transport with SCTP may hold, in bytes: one message, all that waits to be sent, what waits on one stream,
    what was received and not yet read. The last is how much may wait on a stream for ``bufferedamountlow`` to come."""

    max_send_message_size: int = MESSAGE_SIZE
    max_receive_message_size: int = MESSAGE_SIZE
    send_buffer_size: int = 2_000_000
    per_stream_send_queue_limit: int = 2_000_000
    max_receiver_window_buffer_size: int = 5_242_880
    default_stream_buffered_amount_low_threshold: int = 1024


class SctpParameters(Value, frozen=True):
    """An association as the far end has to know it; sizes in bytes. ``os`` and ``mis`` are the numbers of outgoing and
    incoming streams that clients ask for; of a message that the far end sends us, ``max_message_size`` is the limit
    (RFC 8841 §6), which is that of what we receive."""

    port: int
    max_send_message_size: int
    max_receive_message_size: int
    send_buffer_size: int
    per_stream_send_queue_limit: int
    max_receiver_window_buffer_size: int
    is_data_channel: bool
    os: int = field(default_factory=lambda: STREAMS_MAX, name="OS")
    mis: int = field(default_factory=lambda: STREAMS_MAX, name="MIS")
    max_message_size: int = 0

    def __post_init__(self) -> None:
        if not self.max_message_size:
            force_setattr(self, "max_message_size", self.max_receive_message_size)


class SctpNegotiatedCapabilities(Value, frozen=True):
    """How many streams both ends have agreed on."""

    negotiated_max_outbound_streams: int
    negotiated_max_inbound_streams: int


class SctpStreamParameters(Value, frozen=True):
    """One stream: its id, and whether it delivers in order and until it succeeds, or gives a message up after
    ``max_packet_life_time`` milliseconds or ``max_retransmits`` further tries (RFC 8831 §6.1: one of the two at most,
    and not with ``ordered``). ``ordered`` None means: unless one of the two is given."""

    stream_id: int
    ordered: bool | None = None
    max_packet_life_time: int | None = None
    max_retransmits: int | None = None


class Message(NamedTuple):
    """What a data consumer received. An empty message has an empty payload, not its placeholder on the wire."""

    payload: bytes
    ppid: int

    @property
    def is_text(self) -> bool:
        """Whether it was sent as text (RFC 8831 §8)."""
        return self.ppid in (PPID_STRING, PPID_STRING_EMPTY)

    @property
    def text(self) -> str:
        """As UTF-8; what is none is replaced."""
        return self.payload.decode(errors="replace")


class StreamIds:
    """Which of a transport's outgoing streams are taken. Rolling, so that a stream that was just given up is the last
    to be used again: the far end may still be resetting it."""

    def __init__(self) -> None:
        self.limit = STREAMS_MAX
        self._next = 0
        self._taken: set[int] = set()

    def take(self) -> int | None:
        """A free id below the limit, or None if there is none."""
        for step in range(self.limit):
            stream_id = (self._next + step) % self.limit
            if stream_id not in self._taken:
                self._taken.add(stream_id)
                self._next = stream_id + 1
                return stream_id
        return None

    def give_back(self, stream_id: int) -> None:
        self._taken.discard(stream_id)


def validate_sctp_stream_parameters(params: SctpStreamParameters) -> SctpStreamParameters:
    """``params`` with ``ordered`` decided. A limit of 0 is a limit.

    Raises InvalidParameters where a field is wrong, or two contradict each other.
    """
    instance("sctpStreamParameters", params, SctpStreamParameters)
    integer("sctpStreamParameters.streamId", params.stream_id, 0, STREAMS_MAX - 1)
    limits = (("maxPacketLifeTime", params.max_packet_life_time), ("maxRetransmits", params.max_retransmits))
    given = [name for name, limit in limits if limit is not None]
    for name, limit in limits:
        if limit is not None:
            integer(f"sctpStreamParameters.{name}", limit, 0, UINT16_MAX)
    if len(given) > 1:
        refuse("sctpStreamParameters", "has both maxPacketLifeTime and maxRetransmits")
    if params.ordered is not None and type(params.ordered) is not bool:
        refuse("sctpStreamParameters.ordered", "must be a boolean")
    if params.ordered and given:
        refuse("sctpStreamParameters.ordered", f"can't be with {given[0]}")
    ordered = not given if params.ordered is None else params.ordered
    return SctpStreamParameters(params.stream_id, ordered, params.max_packet_life_time, params.max_retransmits)


def stream_delivery(given: SctpStreamParameters | None, asked: SctpStreamParameters) -> SctpStreamParameters:
    """How a data consumer's stream delivers: as ``asked`` where it says anything, else as its data producer's does,
    which has none on a direct transport. Not ordered, and no more, keeps the data producer's limits."""
    base = given or SctpStreamParameters(0, ordered=True)
    if asked.ordered is None and asked.max_packet_life_time is None and asked.max_retransmits is None:
        return base
    if asked.ordered is False and asked.max_packet_life_time is None and asked.max_retransmits is None:
        return replace(base, ordered=False)
    return validate_sctp_stream_parameters(asked)


def stream_parameters_to_fbs(params: SctpStreamParameters | None) -> dict[str, Any] | None:
    return None if params is None else asdict(params)


def message_to_fbs(payload: Payload, ppid: int | None, limit: int) -> dict[str, Any]:
    """The fields ``ppid`` and ``data``. ``limit``: bytes. Raises InvalidParameters where it is no payload or too long:
    the worker drops what is too long without telling who sent it."""
    is_text = isinstance(payload, str)
    data = encoded("message", payload) if isinstance(payload, str) else payload
    size = octets("message", data, limit)
    if ppid is not None:
        integer("ppid", ppid, 0, UINT32_MAX)
    else:
        ppid = (PPID_STRING if size else PPID_STRING_EMPTY) if is_text else (PPID_BINARY if size else PPID_BINARY_EMPTY)
    return {"ppid": ppid, "data": PLACEHOLDERS.get(ppid, data)}


def message_from_fbs(body: dict[str, Any]) -> Message:
    ppid = body["ppid"]
    return Message(b"" if ppid in PLACEHOLDERS else body["data"], ppid)
