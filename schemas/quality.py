"""Bodies about a call's quality: what each party heard of the other, and what was wrong. Records are stored like this,
too."""

from __future__ import annotations

from enum import StrEnum

from msgspec import field

from schemas.base import Answer
from schemas.types import Measure, Mos, Name, PartyRole, Timestamp
from worker_bridge.connectivity import Protocol


class FlagType(StrEnum):
    ONE_WAY_AUDIO = "one_way_audio"
    DEAD_MICROPHONE = "dead_microphone"
    NOT_LISTENING = "not_listening"
    NEVER_SENT = "never_sent"
    FLOOD = "flood"


class QualityLine(Answer, frozen=True, kw_only=True):
    """What one party heard of the other: the E-model's rating R, its mean opinion score, and the figures that they come
    from. All are null where it heard nothing. ``round_trip_ms`` is from party to party and back, null where unknown."""

    speaker: Name = field(name="from")
    speaker_role: PartyRole = field(name="fromRole")
    listener: Name = field(name="to")
    mos: Mos | None = None
    r_factor: Measure | None = None
    loss_percent: Measure | None = None
    jitter_ms: Measure | None = None
    round_trip_ms: Measure | None = None


class FlagLine(Answer, frozen=True):
    """Something that was wrong with a party's sound; ``until`` is null where it lasts, or lasted to the call's end."""

    type: FlagType
    user_id: Name
    role: PartyRole
    since: Timestamp
    until: Timestamp | None


class ProtocolLine(Answer, frozen=True):
    """The protocol by which a party's media came to the worker."""

    user_id: Name
    role: PartyRole
    protocol: Protocol
