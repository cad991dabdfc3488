"""Bodies of the demo page: a party that it may play, and the token for it."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.people import OtomoStatusWord
from schemas.types import Count, Name, PartyRole, Points, Price, Seq, Timestamp
from worker_bridge.value import matching

Pair = Annotated[str, Meta(min_length=8, max_length=32), matching("[a-z0-9]+", "made of a-z 0-9")]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]


class DemoSessionRequest(Body, frozen=True):
    """Which party, and of which pair; without a pair, a new one is made."""

    party: PartyRole
    pair: Pair | UnsetType = UNSET


class DemoSession(Answer, frozen=True, kw_only=True):
    """A party's identity for an hour. ``seq`` is the ``since`` with which its WebSocket misses nothing."""

    token: Token
    expires_at: Timestamp
    pair: Pair
    user_id: Name
    otomo_id: Name
    otomo_status: OtomoStatusWord
    seq: Seq
    price_per_minute: Price
    unit_seconds: Count
    balance: Points
