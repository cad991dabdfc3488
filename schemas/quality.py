"""Bodies about how a call went: what each party heard of the other, and what was wrong. Also how it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from schemas.base import Schema
from schemas.fields import Choice, Name, Number, Timestamp

FlagType = Literal["one_way_audio", "dead_microphone"]
Protocol = Literal["udp", "tcp"]
PartyRole = Literal["user", "otomo"]

MAX_FLAGS = 100


@dataclass(frozen=True, slots=True)
class QualityLine:
    """What one party heard of the other: the E-model's rating R and its mean opinion score, and what they come from.
    ``round_trip_ms`` is from party to party and back, null where it is not known."""

    speaker: str
    listener: str
    speaker_role: PartyRole
    mos: float
    r_factor: float
    loss_percent: float
    jitter_ms: float
    round_trip_ms: float | None


@dataclass(frozen=True, slots=True)
class FlagLine:
    """Who was not heard, and why; ``until`` is null where it lasts, or lasted to the end."""

    type: FlagType
    user_id: str
    role: PartyRole
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ProtocolLine:
    """How a party's media came to the worker."""

    user_id: str
    role: PartyRole
    protocol: Protocol


class QualityLineSchema(Schema[QualityLine]):
    speaker = Name(data_key="from")
    listener = Name(data_key="to")
    speaker_role = Choice(*get_args(PartyRole), data_key="fromRole")
    mos = Number(at_least=1.0)
    r_factor = Number()
    loss_percent = Number()
    jitter_ms = Number()
    round_trip_ms = Number(allow_none=True)


class FlagLineSchema(Schema[FlagLine]):
    type = Choice(*get_args(FlagType))
    user_id = Name()
    role = Choice(*get_args(PartyRole))
    since = Timestamp()
    until = Timestamp(allow_none=True)


class ProtocolLineSchema(Schema[ProtocolLine]):
    user_id = Name()
    role = Choice(*get_args(PartyRole))
    protocol = Choice(*get_args(Protocol))
