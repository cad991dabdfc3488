"""Bodies about people: whether an otomo is there, who is blocked by whom, who is banned. And what nodes tell one
another of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer, Body
from schemas.types import Cursor, Name, PartyRole, Points, Reason, Role, Timestamp

MAX_BLOCKS = 1000  # of one person

Availability = Literal["available", "away"]
OtomoStatusWord = Literal["online", "away", "busy", "offline"]


class StatusRequest(Body, frozen=True):
    """Whether an otomo takes calls while it is connected."""

    status: Availability


class StatusSet(Answer, frozen=True):
    status: Availability


class ListedOtomo(Answer, frozen=True):
    otomo_id: Name
    status: OtomoStatusWord


class OtomoList(Answer, frozen=True):
    """To users, first on each socket and again after a replay: all otomos that are not offline."""

    otomos: tuple[ListedOtomo, ...]


class OtomoPage(Answer, frozen=True):
    """One page; ``next_cursor`` is null on the last one."""

    otomos: tuple[ListedOtomo, ...]
    next_cursor: Cursor | None


class BlockState(Answer, frozen=True):
    """Whether a person is blocked by whoever asks."""

    role: PartyRole
    user_id: Name
    blocked: bool


class BlockLine(Answer, frozen=True):
    role: PartyRole
    user_id: Name
    since: Timestamp


class BlockList(Answer, frozen=True):
    """Whom a person has blocked, the last first."""

    blocks: Annotated[tuple[BlockLine, ...], Meta(max_length=MAX_BLOCKS)]


class BanRequest(Body, frozen=True):
    """Why a person is kept out, and until when: for ever, where that is left out."""

    reason: Reason
    until: Timestamp | UnsetType = UNSET


class PersonState(Answer, frozen=True, kw_only=True):
    """What admins have decided of a person. Tokens issued up to ``revoked_at`` are refused."""

    role: Role
    user_id: Name
    banned: bool
    banned_until: Timestamp | None
    ban_reason: Reason | None
    revoked_at: Timestamp | None


# Between nodes


class PersonChanged(Answer, frozen=True, kw_only=True):
    """What is decided of a person from now on, as a whole; ``until_ms`` is null where a ban has no end."""

    role: Role
    user_id: Name
    banned: bool
    until_ms: Points | None
    ban_reason: Reason | None
    revoked_at_ms: Points | None
    away: bool


class BlockChanged(Answer, frozen=True, kw_only=True):
    """A person blocks another one from now on, or no more."""

    role: PartyRole
    user_id: Name
    other_role: PartyRole
    other_id: Name
    blocked: bool
