"""What the ledger takes and returns: frozen values without behaviour, and the order of a call's states.

Times are UTC in whole milliseconds since 1970 (``_ms``), durations whole seconds, money whole points. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from msgspec import UNSET

from app.person import Parties, Person
from app.tariffs import Terms
from schemas.base import encode
from schemas.call import CallState, EndedBy, InterruptionReason, MoveReason
from schemas.quality import FlagLine, ProtocolLine, QualityLine
from schemas.signaling import TYPE_OF, EventPayload, EventType, TickStatus
from schemas.tariff import Tariff
from schemas.types import PartyRole, PointKind

MAX_POINTS = 10**15  # the most that a wallet can hold: well below 2^63, and below a JSON number's 2^53


CONNECTED_STATES = (CallState.TALKING, CallState.INTERRUPTED)
LIVE_STATES = tuple(state for state in CallState if state is not CallState.ENDED)


class NewEvent(NamedTuple):
    """An event to store. ``to`` None is for all users; ``payload`` is the JSON text that is stored and sent."""

    type: str
    payload: bytes
    to: Person | None = None
    call_id: str | None = None

    @classmethod
    def of(cls, payload: EventPayload, to: Person | None = None, call_id: str | None = None) -> NewEvent:
        """An event for one person, or for all users (None). Its type is the one that has such a payload."""
        return cls(TYPE_OF[type(payload)], encode(payload), to, call_id)

    @classmethod
    def to_each(
        cls, people: Iterable[Person], payload: EventPayload, call_id: str, type_: EventType | None = None
    ) -> list[NewEvent]:
        """The same event for several people, encoded once. ``type_`` is needed where several types have such a
        payload."""
        word, text = type_ or TYPE_OF[type(payload)], encode(payload)
        return [cls(word, text, person, call_id) for person in people]


class Event(NamedTuple):
    """A stored event. ``seq`` rises in the order of commits: whoever sees one has been able to see every smaller
    one."""

    seq: int
    type: str
    payload: bytes
    to: Person | None
    call_id: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call to open. ``states`` are those that it goes through at once; it stays in the last one.

    An ``exclusive`` call keeps both parties busy: neither can be in two of them. Calls that another system has matched
    are not exclusive.
    """

    id: str
    user_id: str
    otomo_id: str
    price_per_minute: int
    created_at_ms: int
    states: tuple[CallState, ...] = (CallState.REQUESTING,)
    cause: str = "request"
    exclusive: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    tariff: Tariff | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is stored. What has not happened is None.

    ``node`` is the process that has it, by a name that no other process ever has; ``epoch`` numbers its rooms.
    ``talked_ms`` is how long both parties were proven to be there, ``proven_at_ms`` the last moment at which they were,
    as far as it is stored. A call of an older release has no ``tariff``. One that is on hold is so since
    ``held_since_ms``, with or without ``held_music``.
    """

    id: str
    user_id: str
    otomo_id: str
    state: CallState
    exclusive: bool
    node: str
    price_per_minute: int
    created_at_ms: int
    accepted_at_ms: int | None = None
    connected_at_ms: int | None = None
    proven_at_ms: int | None = None
    ended_at_ms: int | None = None
    end_reason: str | None = None
    duration_seconds: int | None = None
    billed_units: int = 0
    billed_points: int = 0
    epoch: int = 1
    talked_ms: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)  # a dict has no hash
    tariff: Tariff | None = None
    extended_seconds: int = 0
    refunded_points: int = 0
    held_since_ms: int | None = None
    held_music: str | None = None

    @property
    def call_id(self) -> str:
        return self.id

    def longest_s(self, otherwise: int) -> int:
        """After how many seconds of talk it ends: by its tariff, or by the node's limit where that has none; and by
        what admins have added."""
        limit = UNSET if self.tariff is None else self.tariff.max_seconds
        return (otherwise if limit is UNSET else limit) + self.extended_seconds

    def charged_by(self, unit_seconds: float = 60.0) -> Tariff:
        """Its tariff. One of an older release costs its price for each unit, of ``unit_seconds``, that is over."""
        return self.tariff or Terms.by_unit(self.price_per_minute, unit_seconds).tariff

    @property
    def parties(self) -> Parties:
        return Parties.of(self.user_id, self.otomo_id)


@dataclass(frozen=True, slots=True)
class Record:
    """The record of an ended call, beside its timeline.

    ``mos`` is the lowest of ``quality``. ``worker`` is None where the call had no room.
    """

    ended_by: EndedBy
    unit_seconds: float
    worker: int | None = None
    mos: float | None = None
    quality: tuple[QualityLine, ...] = ()
    flags: tuple[FlagLine, ...] = ()
    transports: tuple[ProtocolLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSearch:
    """Which calls are asked for: those for which all hold that is given. The times are those of their opening, the
    first one included, the last one not."""

    user_id: str | None = None
    otomo_id: str | None = None
    states: tuple[CallState, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    end_reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_party(cls, party: Person | None, states: Iterable[CallState] = ()) -> CallSearch:
        """A party's calls, or everybody's."""
        user_id, otomo_id = (party.id if party and party.role == role else None for role in ("user", "otomo"))
        return cls(user_id=user_id, otomo_id=otomo_id, states=tuple(states))


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a party said of a call: ``score`` is 1 to 5."""

    role: PartyRole
    score: int
    tags: tuple[str, ...]
    comment: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a call's timeline; ``cause`` says who or what caused it."""

    state: CallState
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A time in which a party was away: ``role``, which is None where the room was lost.
    ``until_ms`` is None while it lasts."""

    reason: InterruptionReason
    role: PartyRole | None
    since_ms: int
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One of the rooms that a call has had: on which worker of which node, since when, why, and how long the parties
    had talked before it."""

    epoch: int
    node: str
    worker: int
    began_at_ms: int
    talked_before_ms: int
    reason: MoveReason | None = None  # None for the first one


@dataclass(frozen=True, slots=True)
class Changed:
    """A call after a change, and the change's events."""

    call: Call
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A call's end. ``already``: it had ended before, and ``events`` are those that were stored then."""

    call: Call
    events: tuple[Event, ...]
    already: bool = False


@dataclass(frozen=True, slots=True)
class UnitDue:
    """A billable unit: ``index`` from 1, due after ``talked_ms`` in which both parties were there. With it, ``count``
    units in all are charged together."""

    call_id: str
    epoch: int
    index: int
    at_ms: int
    talked_ms: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Unit:
    """A stored unit. ``balance_after`` is None where a free call's user has no wallet; ``bonus_points`` are those of
    its ``points`` that were not paid for."""

    call_id: str
    index: int
    points: int
    total_points: int
    balance_after: int | None
    duration_seconds: int
    charged_at_ms: int
    bonus_points: int = 0


@dataclass(frozen=True, slots=True)
class Charged:
    """The unit is stored: now, or (``already``) by an earlier try, whose ``events`` these are. It is the last one of
    those that were charged together; ``before`` are the others."""

    unit: Unit
    status: TickStatus
    events: tuple[Event, ...]
    already: bool = False
    before: tuple[Unit, ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        return (*self.before, self.unit)

    @property
    def points(self) -> int:
        return sum(unit.points for unit in self.units)


@dataclass(frozen=True, slots=True)
class PointsGone:
    """The wallet does not hold what has to be paid: nothing was stored, and the call has to end."""

    call_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class UnitRefused:
    """Nothing was stored: there is no such call, it is not talking, or the index is not the next one."""

    call_id: str
    index: int
    state: CallState | None
    next_index: int | None


@dataclass(frozen=True, slots=True)
class UnitFenced:
    """Nothing was stored: the call is another node's by now, or in another room."""

    call_id: str


ChargeResult = Charged | PointsGone | UnitRefused | UnitFenced


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Points of a call that were given back: of so many ``units``, or as points, where that is None."""

    points: int
    units: int | None
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Billing:
    """A call's units in order, and their sum; and what was given back of it."""

    call_id: str
    units: tuple[Unit, ...]
    total_points: int
    refunds: tuple[RefundLine, ...] = ()

    @property
    def refunded_points(self) -> int:
        return sum(one.points for one in self.refunds)


@dataclass(frozen=True, slots=True)
class RefundAsked:
    """So many ``points`` or ``units`` of a call are to be given back; one of them is None."""

    call_id: str
    points: int | None
    units: int | None
    reason: str
    key: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The wallet right after a refund of ``points``, and all that was given back of the call by then. ``already``: the
    key came before, and this is what it did then."""

    wallet: Wallet
    points: int
    refunded_points: int
    events: tuple[Event, ...]
    already: bool = False


@dataclass(frozen=True, slots=True)
class Wallet:
    user_id: str
    balance: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class Lot:
    """Points that came together. Paid points that do not expire have no ``id``: they are what is in no other lot."""

    id: int | None
    kind: PointKind
    remaining: int
    expires_at_ms: int | None = None
    points: int | None = None
    created_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a wallet holds: its lots, in the order in which they are spent. Points that have expired are not among
    them."""

    user_id: str
    lots: tuple[Lot, ...]
    updated_at_ms: int

    @property
    def balance(self) -> int:
        return sum(lot.remaining for lot in self.lots)

    @property
    def bonus(self) -> int:
        return sum(lot.remaining for lot in self.lots if lot.kind == "bonus")


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Points that all users together hold, of a kind, that expire in a month (``2026-12``, UTC; None: never)."""

    kind: PointKind
    month: str | None
    points: int


@dataclass(frozen=True, slots=True)
class AdjustmentAsked:
    """Points for a wallet, or from it: of a kind, until ``expires_at_ms`` where that is given."""

    user_id: str
    amount: int
    reason: str
    key: str
    kind: PointKind = "paid"
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """An otomo's own price in points a minute, and tariff where one was given."""

    price_per_minute: int
    tariff: Tariff | None = None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The wallet right after the adjustment. ``already``: the key came before, and this is what it did then."""

    wallet: Wallet
    events: tuple[Event, ...]
    already: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """One charged call on a wallet's statement."""

    call_id: str
    otomo_id: str
    price_per_minute: int
    billed_units: int
    billed_points: int
    refunded_points: int
    created_at_ms: int
    connected_at_ms: int | None
    ended_at_ms: int | None
    duration_seconds: int | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """A call that a restart found open, and how it ended it."""

    call_id: str
    node: str
    recovered_at_ms: int
    state: CallState
    ended_at_ms: int
    duration_seconds: int
    billed_units: int
    billed_points: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A call that goes on on this node: interrupted since ``since_ms``, for that ``reason``. Where it ``was_talking``,
    its parties have not been told yet. ``worker_died_at_ms`` is when a worker of its last died."""

    call: Call
    since_ms: int
    reason: InterruptionReason
    was_talking: bool
    worker_died_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of calls that a process had left open, and the events that were stored about it."""

    ended: tuple[Recovered, ...] = ()
    adopted: tuple[Adopted, ...] = ()
    events: tuple[Event, ...] = field(default=())

    @property
    def count(self) -> int:
        """Of the calls."""
        return len(self.ended) + len(self.adopted)


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some lines, newest first; ``next_cursor`` leads to older ones, and is None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None
