"""Bodies of the demo page: a party that it may play, and the token for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.base import Schema
from schemas.call import count, points, price_per_minute
from schemas.fields import Choice, Name, Text, Timestamp, Whole


@dataclass(frozen=True, slots=True)
class DemoSessionRequest:
    """Which party, and of which pair; without one a new pair is made."""

    party: Literal["user", "otomo"]
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class DemoSession:
    """A party's identity for an hour. ``seq`` is where its WebSocket starts, so that nothing is missed in between."""

    token: str
    expires_at: datetime
    pair: str
    user_id: str
    otomo_id: str
    otomo_status: str
    seq: int
    price_per_minute: int
    unit_seconds: int
    balance: int


def pair(**options: bool) -> Text:
    return Text(at_least=8, at_most=32, pattern="[a-z0-9]+", form="made of a-z 0-9", **options)


class DemoSessionRequestSchema(Schema[DemoSessionRequest]):
    party = Choice("user", "otomo")
    pair = pair(required=False)


class DemoSessionSchema(Schema[DemoSession]):
    token = Text(at_most=4096)
    expires_at = Timestamp()
    pair = pair()
    user_id = Name()
    otomo_id = Name()
    otomo_status = Choice("online", "busy", "offline")
    seq = Whole(at_least=0, at_most=2**53 - 1)
    price_per_minute = price_per_minute()
    unit_seconds = count()
    balance = points()
