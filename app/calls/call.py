"""A live call: two parties, its terms, a clock, and a state that moves forward, apart from interruptions.

The table is the whole state machine. Nothing here waits, sends or stores.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from msgspec import UNSET

from app.calls.flags import Flags
from app.calls.talk_clock import TalkClock
from app.clock import Moment, shifted
from app.errors import Forbidden, InvalidCallState
from app.ledger.steps import FIRST_EPOCH
from app.media.quality import CallQuality
from app.media.room import Room
from app.person import Parties, Person
from app.tariffs import Terms
from schemas.call import CallState, EndedBy, InterruptionReason
from schemas.tariff import Tariff
from schemas.types import PartyRole


class CallEvent(StrEnum):
    """What can happen to a call."""

    RING = "ring"
    ACCEPT = "accept"
    REJECT = "reject"
    CANCEL = "cancel"
    SET_UP = "set_up"  # a party makes its first transport
    RTP = "rtp"  # the worker received the first packet
    INTERRUPT = "interrupt"  # a party is not there any more, or the room is lost
    RESUME = "resume"  # both are there again
    HANG_UP = "hang_up"  # a party ends it
    FAIL = "fail"  # an admin, a timer, the network, the ledger or the node ends it
    STORED = "stored"  # its end is in the ledger


class EndReason(StrEnum):
    MANUAL = "manual"
    ADMIN = "admin"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    RTP_STOPPED = "rtp_stopped"
    DISCONNECT = "disconnect"
    NETWORK_FAILED = "network_failed"
    LOW_BALANCE = "low_balance"
    MAX_DURATION = "max_duration"
    WORKER_DIED = "worker_died"
    NODE_LOST = "node_lost"
    SILENCE = "silence"
    BANNED = "banned"
    SYSTEM_ERROR = "system_error"


TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.REQUESTING, CallEvent.RING): CallState.RINGING,
    (CallState.REQUESTING, CallEvent.ACCEPT): CallState.MATCHED,
    (CallState.REQUESTING, CallEvent.CANCEL): CallState.ENDING,
    (CallState.REQUESTING, CallEvent.FAIL): CallState.ENDING,
    (CallState.RINGING, CallEvent.ACCEPT): CallState.MATCHED,
    (CallState.RINGING, CallEvent.REJECT): CallState.ENDING,
    (CallState.RINGING, CallEvent.CANCEL): CallState.ENDING,
    (CallState.RINGING, CallEvent.FAIL): CallState.ENDING,
    (CallState.MATCHED, CallEvent.SET_UP): CallState.CONNECTING,
    (CallState.MATCHED, CallEvent.RTP): CallState.TALKING,
    (CallState.MATCHED, CallEvent.HANG_UP): CallState.ENDING,
    (CallState.MATCHED, CallEvent.FAIL): CallState.ENDING,
    (CallState.CONNECTING, CallEvent.RTP): CallState.TALKING,
    (CallState.CONNECTING, CallEvent.HANG_UP): CallState.ENDING,
    (CallState.CONNECTING, CallEvent.FAIL): CallState.ENDING,
    (CallState.TALKING, CallEvent.INTERRUPT): CallState.INTERRUPTED,
    (CallState.TALKING, CallEvent.HANG_UP): CallState.ENDING,
    (CallState.TALKING, CallEvent.FAIL): CallState.ENDING,
    (CallState.INTERRUPTED, CallEvent.RESUME): CallState.TALKING,
    (CallState.INTERRUPTED, CallEvent.HANG_UP): CallState.ENDING,
    (CallState.INTERRUPTED, CallEvent.FAIL): CallState.ENDING,
    (CallState.ENDING, CallEvent.STORED): CallState.ENDED,
}
"""The state that follows from a state and an event; all other pairs are InvalidCallState."""


@dataclass(slots=True, eq=False)
class PartyLiveness:
    """What shows whether a party is there; times are in monotonic seconds, None where it never happened.

    ``last_proof`` is when the worker last received something new from it: RTP or, while it is muted, anything.
    ``had_socket`` is whether it ever had a WebSocket during the call; ``bad_since`` is since when its DTLS or ICE is
    down, ``unheard_since`` since when nothing from it reaches the other party, ``not_listening_since`` since when it
    has no consumer of the other party's sound.
    """

    person: Person
    last_proof: float | None = None
    last_rtp: float | None = None
    had_socket: bool = False
    bad_since: float | None = None
    unheard_since: float | None = None
    not_listening_since: float | None = None

    def begin_again(self) -> None:
        """The party is there again: forget what was wrong before the interruption."""
        self.bad_since = self.unheard_since = self.not_listening_since = None

    def prove(self, at: float) -> None:
        """Store a proof that it was there at that moment. An older one than the last changes nothing."""
        self.last_proof = at if self.last_proof is None else max(self.last_proof, at)


@dataclass(slots=True, eq=False)
class Interruption:
    """Why a call is interrupted, and by which party: None where its room is lost. Its clock has stopped at ``since``;
    it ends at ``until``, unless both parties were proven to be there after ``noticed``."""

    reason: InterruptionReason
    party: PartyRole | None
    since: Moment
    noticed: Moment
    until: Moment


class Hold(NamedTuple):
    """Since when, in UTC milliseconds, a call is on hold, and the clip that is played meanwhile, if any."""

    since_ms: int
    music: str | None


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call on this node that has not ended. ``lock`` is held over every transition, storing included.

    ``epoch`` numbers its rooms; ``worker`` has the last one. ``room`` is None before the parties have agreed, and
    between the loss of a room and the next one.
    """

    id: str
    user_id: str
    otomo_id: str
    terms: Terms
    created_at: Moment
    state: CallState = CallState.REQUESTING
    matched_at: Moment | None = None
    connected_at: Moment | None = None
    ended_at: Moment | None = None
    end_reason: EndReason | None = None
    ended_by: EndedBy = EndedBy.NODE
    accepted: bool = False  # by the otomo
    room: Room | None = None
    worker: int | None = None
    epoch: int = FIRST_EPOCH
    worker_died_at: float | None = None  # when a worker of its last died, in monotonic seconds
    interruption: Interruption | None = None
    held: Hold | None = None
    timer: asyncio.TimerHandle | None = None
    extended_s: int = 0  # by how much its longest duration was raised
    clock: TalkClock = field(default_factory=TalkClock)
    flags: Flags = field(default_factory=Flags)
    quality: CallQuality = field(init=False)
    parties: Parties = field(init=False)
    liveness: dict[PartyRole, PartyLiveness] = field(init=False)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.parties = Parties.of(self.user_id, self.otomo_id)
        self.liveness = {"user": PartyLiveness(self.parties.user), "otomo": PartyLiveness(self.parties.otomo)}
        self.quality = CallQuality()

    @property
    def call_id(self) -> str:
        return self.id

    @property
    def price_per_minute(self) -> int:
        return self.terms.price_per_minute

    @property
    def tariff(self) -> Tariff:
        return self.terms.tariff

    @property
    def longest_s(self) -> float:
        """After how many seconds of talk it ends."""
        limit = self.tariff.max_seconds
        return math.inf if limit is UNSET else limit + self.extended_s

    @property
    def live(self) -> bool:
        return self.state not in (CallState.ENDING, CallState.ENDED)

    def proven_until(self, present: Moment) -> Moment:
        """The last moment at which both parties were proven to be there: at the earliest when the clock began to run,
        and in an interruption its beginning. Without a connection, it is ``present``."""
        if self.connected_at is None:
            return present
        if self.interruption is not None:
            return self.interruption.since
        since = self.clock.since or self.connected_at
        proofs = (since.monotonic if one.last_proof is None else one.last_proof for one in self.liveness.values())
        proven = min(proofs)
        return shifted(present, proven) if proven > since.monotonic else since

    def were_there(self, at: float) -> bool:
        """Whether both parties were proven to be there at that moment or later."""
        return all(party.last_proof is not None and party.last_proof >= at for party in self.liveness.values())

    def is_back(self, at: float, fresh_within_s: float) -> bool:
        """Whether both parties of an interrupted call were proven to be there since, and a moment ago."""
        return self.interruption is not None and all(
            party.last_proof is not None
            and party.last_proof > self.interruption.noticed.monotonic
            and at - party.last_proof <= fresh_within_s
            for party in self.liveness.values()
        )

    def next_state(self, event: CallEvent) -> CallState:
        """The state that ``event`` leads to. Raises InvalidCallState where there is none."""
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise InvalidCallState(f"call {self.id} is {self.state}: no {event}")
        return state

    def liveness_of(self, person: Person) -> PartyLiveness:
        """Raises Forbidden where it is no party of the call."""
        role = self.parties.role_of(person)
        if role is None:
            raise Forbidden(f"{person} is no party of call {self.id}")
        return self.liveness[role]

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
