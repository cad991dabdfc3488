"""What a call is: two parties, a price, and a state that only moves forward.

The table is the whole state machine. Nothing in here waits, sends or stores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.calls.clock import Moment
from app.errors import Forbidden, InvalidCallState


class CallState(StrEnum):
    REQUESTING = "requesting"  # asked for, the otomo not yet told
    RINGING = "ringing"
    MATCHED = "matched"  # both agreed: the room is open
    CONNECTING = "connecting"  # a party sets its media up
    TALKING = "talking"  # the worker has seen RTP: the clock runs
    ENDING = "ending"
    ENDED = "ended"


class CallEvent(StrEnum):
    RING = "ring"
    MATCH = "match"
    SET_UP = "set_up"
    RTP = "rtp"
    END = "end"
    CLOSE = "close"


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
    WORKER_DIED = "worker_died"
    SYSTEM_ERROR = "system_error"


TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.REQUESTING, CallEvent.RING): CallState.RINGING,
    (CallState.REQUESTING, CallEvent.MATCH): CallState.MATCHED,
    (CallState.REQUESTING, CallEvent.END): CallState.ENDING,
    (CallState.RINGING, CallEvent.MATCH): CallState.MATCHED,
    (CallState.RINGING, CallEvent.END): CallState.ENDING,
    (CallState.MATCHED, CallEvent.SET_UP): CallState.CONNECTING,
    (CallState.MATCHED, CallEvent.RTP): CallState.TALKING,
    (CallState.MATCHED, CallEvent.END): CallState.ENDING,
    (CallState.CONNECTING, CallEvent.RTP): CallState.TALKING,
    (CallState.CONNECTING, CallEvent.END): CallState.ENDING,
    (CallState.TALKING, CallEvent.END): CallState.ENDING,
    (CallState.ENDING, CallEvent.CLOSE): CallState.ENDED,
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a call's life, and what caused it."""

    at: Moment
    state: CallState
    cause: str


@dataclass(slots=True, eq=False)
class Call:
    """One call on this node. Moments are None where it has not happened; points are the charged ones."""

    id: str
    user_id: str
    otomo_id: str
    price_per_minute: int
    created_at: Moment
    state: CallState = CallState.REQUESTING
    accepted_at: Moment | None = None
    connected_at: Moment | None = None
    ended_at: Moment | None = None
    end_reason: EndReason | None = None
    billed_units: int = 0
    billed_points: int = 0
    timeline: list[Transition] = field(default_factory=list)

    @property
    def parties(self) -> tuple[str, str]:
        return self.user_id, self.otomo_id

    @property
    def live(self) -> bool:
        return self.state not in (CallState.ENDING, CallState.ENDED)

    @property
    def duration_seconds(self) -> int | None:
        """Whole seconds from the first RTP to the end, by the monotonic clock; None before it was connected."""
        if self.connected_at is None or self.ended_at is None:
            return None
        return max(0, int(self.ended_at.monotonic - self.connected_at.monotonic))

    def fire(self, event: CallEvent, cause: str, at: Moment) -> CallState:
        """Take the table's step for ``event``. InvalidCallState where there is none."""
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise InvalidCallState(f"call {self.id} is {self.state}: no {event}")
        self.state = state
        self.timeline.append(Transition(at, state, cause))
        return state

    def require_party(self, user_id: str) -> None:
        if user_id not in self.parties:
            raise Forbidden(f"{user_id} is no party of call {self.id}")

    def other_party(self, user_id: str) -> str:
        return self.otomo_id if user_id == self.user_id else self.user_id
