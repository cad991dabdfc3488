"""Bodies about how a call went: what each party heard of the other, and what was wrong. Also how it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from schemas.base import Schema
from schemas.fields import Choice, Name, Number, Timestamp

FlagType = Literal["one_way_audio", "dead_microphone", "not_listening", "never_sent", "flood"]
Protocol = Literal["udp", "tcp"]
PartyRole = Literal["user", "otomo"]

MAX_FLAGS = 100


@dataclass(frozen=True, slots=True)
class QualityLine:
    """What one party heard of the other: the E-model's rating R and its mean opinion score, and what they come from.
    All are null where it heard nothing; ``round_trip_ms``, from party to party and back, also where it is not known."""

    speaker: str
    listener: str
    speaker_role: PartyRole
    mos: float | None = None
    r_factor: float | None = None
    loss_percent: float | None = None
    jitter_ms: float | None = None
    round_trip_ms: float | None = None


@dataclass(frozen=True, slots=True)
class FlagLine:
    """Who was not heard or did not listen, and why; ``until`` is null where it lasts, or lasted to the end."""

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
    mos = Number(at_least=1.0, allow_none=True)
    r_factor = Number(allow_none=True)
    loss_percent = Number(allow_none=True)
    jitter_ms = Number(allow_none=True)
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
