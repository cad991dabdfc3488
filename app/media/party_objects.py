"""What a party has in a room: its transports, producers and consumers, each with what the node remembers of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from app.errors import AlreadyConnected, BadRequest, ConsumerNotFound
from app.media.packet_rate import PacketRate
from app.media.stats import StreamStats
from schemas.own_media import Direction
from schemas.types import PartyRole
from worker_bridge.connectivity import DtlsParameters
from worker_bridge.consumer import Consumer
from worker_bridge.errors import NotFound, RequestRefused
from worker_bridge.producer import Producer
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpParameters
from worker_bridge.webrtc_transport import WebRtcTransport

DEAD_DTLS = frozenset({"failed", "closed"})
DEAD_ICE = frozenset({"disconnected", "closed"})

NEW_TRANSPORTS = 10  # of one party and direction,
WITHIN_S = 10.0  # in so many seconds: more than reloading a page makes, and few enough for a worker


class Released(NamedTuple):
    """How many objects were open, and are no more."""

    transports: int
    producers: int
    consumers: int


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How many a party may have: of one direction, and of one kind."""

    transports_per_direction: int
    producers_per_party: int


RetryKey = tuple[str, MediaKind, str | None, int | str | None]
"""Transport, kind, MID, and the first SSRC or RID. Requests that differ in these are different ones; of those that do
not, the worker accepts one only."""


@dataclass(slots=True, eq=False)
class OpenTransport:
    """A transport, its direction, and whether RTC-03 was given for it (and not refused)."""

    transport: WebRtcTransport
    direction: Direction
    connecting: bool = False

    @property
    def dead(self) -> bool:
        transport = self.transport
        return transport.closed or transport.dtls_state in DEAD_DTLS or transport.ice_state in DEAD_ICE

    async def connect(self, dtls_parameters: DtlsParameters) -> None:
        """Connect it, once: after that, raises AlreadyConnected. Where the worker refuses, it can be tried again."""
        if self.connecting:
            raise AlreadyConnected(self.transport.id)
        self.connecting = True
        try:
            await self.transport.connect(dtls_parameters)
        except RequestRefused as error:
            self.connecting = False
            raise BadRequest.at("dtlsParameters", error.reason) from error
        except BaseException:
            self.connecting = False
            raise


@dataclass(slots=True, eq=False)
class PartyTransport(OpenTransport):
    """A party's; and how much of it was counted."""

    party: PartyRole = field(kw_only=True)
    bytes_received: int = 0  # when last counted,
    counted_at: float = float("-inf")  # in monotonic seconds


@dataclass(slots=True, eq=False)
class PartyProducer:
    """A producer, its party, and the request that made it: the same request again is a retry.

    ``muted`` is whether its party has paused it; while it floods, the node has paused it, too. Times are monotonic
    seconds.
    """

    producer: Producer
    party: PartyRole
    requested: RtpParameters
    key: RetryKey
    since: float
    muted: bool = False
    flooding_since: float | None = None
    packets: int = 0  # received, when last counted
    rate: PacketRate | None = None  # from the first count on
    stats: StreamStats | None = None  # the latest ones
    last_rtp: float | None = None


@dataclass(slots=True, eq=False)
class PartyConsumer:
    """``wanted`` is whether its party has resumed it: it is paused all the same while the call is on hold."""

    consumer: Consumer
    party: PartyRole
    capabilities: RtpCapabilities
    transport_id: str
    stats: StreamStats | None = None
    wanted: bool = False


@dataclass(slots=True, eq=False)
class PartySide:
    """All that one party has in a room. Under ``lock``, a request's checks and its effects are one step."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    producers: dict[RetryKey, PartyProducer] = field(default_factory=dict)
    consumers: dict[tuple[str, str], PartyConsumer] = field(default_factory=dict)  # by transport and producer
    sending: Counter[MediaKind] = field(default_factory=Counter)
    flooded: bool = False  # whether the node had to pause a producer of the party
    has_received: bool = False  # whether it ever opened a transport to receive
    opened: dict[Direction, list[float]] = field(default_factory=dict)  # when its newest transports were opened

    def may_open(self, direction: Direction, now: float) -> bool:
        """Whether a transport may be opened at ``now``, in monotonic seconds; if so, it is counted."""
        recent = [at for at in self.opened.get(direction, ()) if now - at < WITHIN_S]
        self.opened[direction] = recent
        if len(recent) >= NEW_TRANSPORTS:
            return False
        recent.append(now)
        return True


@contextmanager
def unless_gone(consumer_id: str) -> Iterator[None]:
    """For requests about a consumer. When its producer closes, the worker closes it, and we are told a moment later:
    until then a request is refused by the worker. Raises ConsumerNotFound then."""
    try:
        yield
    except NotFound as error:
        raise ConsumerNotFound(consumer_id) from error
