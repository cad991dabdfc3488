"""The events of a call and of a client, each as a value, with those of the server's fields that a client needs.

Moments are in UTC. Fields of a newer server are left out; unknown words are passed on as they are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from voiceplane.client.errors import BadAnswer
from voiceplane.client.states import CallState
from voiceplane.client.stats import Quality

T = TypeVar("T")


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object of the server's; its names are camelCase there."""


class CallRecord(Wire, frozen=True, kw_only=True):
    """A call as `GET /calls/{callId}` has it. What has not happened is None."""

    call_id: str
    user_id: str
    otomo_id: str
    state: str
    price_per_minute: int
    created_at: datetime
    accepted_at: datetime | None = None
    connected_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    duration_seconds: int | None = None
    billed_units: int = 0
    billed_points: int = 0
    media_epoch: int = 1  # rises with each room that the call gets


# Of a call


class StateChanged(Wire, frozen=True, kw_only=True):
    """`ringing`, `connecting`, `talking`, `interrupted`, `ended`."""

    state: CallState


class Accepted(Wire, frozen=True, kw_only=True):
    """The otomo has accepted the call."""

    at: datetime


class Connected(Wire, frozen=True, kw_only=True):
    """The server has received the first sound of the call, and its clock runs."""

    connected_at: datetime


class Tick(Wire, frozen=True, kw_only=True):
    """A unit was charged. `user_balance` and `remaining_seconds` are told to the user alone."""

    tick_number: int
    charged_points: int
    total_charged_points: int
    duration_seconds: int
    timestamp: datetime
    status: str
    user_balance: int | None = None
    remaining_seconds: int | None = None


class Ending(Wire, frozen=True, kw_only=True):
    """The call is about to end by itself, because of `reason`: `low_balance` or `max_duration`."""

    reason: str
    seconds_left: int
    at: datetime


class Silent(Wire, frozen=True, kw_only=True):
    """Neither party has spoken for so long; unless one does, the call ends at `ends_at`, if there is one."""

    silent_seconds: int
    at: datetime
    ends_at: datetime | None = None


class Interrupted(Wire, frozen=True, kw_only=True):
    """A party is away, and nothing is charged. `user_id` is None where the server lost the room."""

    user_id: str | None = None
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Resumed(Wire, frozen=True, kw_only=True):
    """Both are there again."""

    interrupted_seconds: float = 0


class Moved(Wire, frozen=True, kw_only=True):
    """The call's sound goes through another room from now on; this client has set it up."""

    media_epoch: int


class QualityChanged(Wire, frozen=True, kw_only=True):
    """How the other party sounds: `excellent`, `good`, `fair`, `poor`, `lost`. `mos` is 1 to 4.4 (ITU-T G.107)."""

    quality: Quality
    mos: float | None


class RemoteMuted(Wire, frozen=True, kw_only=True):
    """The other party has muted or unmuted itself."""

    muted: bool


class SilentMicrophone(Wire, frozen=True, kw_only=True):
    """The microphone has had no sound for so many seconds, although it is not muted."""

    seconds: float


class Ended(Wire, frozen=True, kw_only=True):
    """The call is over. `reason` is the contract's word."""

    reason: str
    duration_seconds: int = 0
    total_charged_points: int = 0
    ended_at: datetime | None = None


CallEvent = (
    StateChanged
    | Accepted
    | Connected
    | Tick
    | Ending
    | Interrupted
    | Resumed
    | Moved
    | QualityChanged
    | RemoteMuted
    | SilentMicrophone
    | Ended
)

# Of a client


class OtomoStatus(Wire, frozen=True, kw_only=True):
    """An otomo is `online`, `away`, `busy` or `offline`."""

    otomo_id: str
    status: str


class OtomoList(Wire, frozen=True, kw_only=True):
    """All who are not offline."""

    otomos: tuple[OtomoStatus, ...]


class WalletUpdate(Wire, frozen=True, kw_only=True):
    """The user's points, after `reason` changed them."""

    balance: int
    reason: str


class ConnectionChanged(Wire, frozen=True, kw_only=True):
    """The WebSocket is `connected`, or `reconnecting`: calls go on without it, and it comes back by itself. `closed`
    says that it does not; `code` is why."""

    state: Literal["connected", "reconnecting", "closed"]
    code: str | None = None


# Read and written by this package alone


class Message(Wire, frozen=True, kw_only=True):
    """What comes over the WebSocket: an event with its `seq`, or an answer."""

    type: str
    payload: dict[str, Any] = {}
    seq: int | None = None
    request_id: Any = UNSET


class AboutCall(Wire, frozen=True, kw_only=True):
    """The call that an event is about, if any."""

    call_id: str = ""


class Asked(Wire, frozen=True, kw_only=True):
    """The body of `POST /calls`."""

    otomo_id: str
    call_id: str
    metadata: dict[str, str] | UnsetType = UNSET


class ProducerNotice(Wire, frozen=True, kw_only=True):
    """Of `producer_added`, `producer_paused`, `producer_resumed`, `producer_removed`."""

    call_id: str
    producer_id: str
    role: str | None = None
    media_epoch: int | None = None
    source: str | None = None  # where it is no party's voice


class ListedProducer(Wire, frozen=True, kw_only=True):
    """One of `GET /rtc/rooms/{callId}/producers`."""

    producer_id: str
    role: str
    kind: str
    paused: bool
    source: str | None = None


class IncomingCall(Wire, frozen=True, kw_only=True):
    """A call that rings."""

    call_id: str
    user_id: str
    price_per_minute: int
    expires_at: datetime


def read(kind: type[T], given: dict[str, Any], what: str) -> T:
    """`given` as a `kind`. Raises BadAnswer where it is none; `what` is a name for people."""
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise BadAnswer(what, 200, f"it is not as the contract has it: {error}") from error
