"""Flags: what was wrong with a call that looked alive, with which party, since when and until when. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.clock import Moment, shifted
from schemas.quality import FlagType
from schemas.types import PartyRole

KEPT = 100  # flags of one call: of one that comes and goes without end, the latest are enough


@dataclass(slots=True)
class Flag:
    """``party`` is the one that is not heard, or does not listen; ``until`` is None while it lasts."""

    type: FlagType
    party: PartyRole
    since: Moment
    until: Moment | None = None


Faults = dict[tuple[FlagType, PartyRole], float]
"""What is wrong now, with whom, and since when in monotonic seconds."""


@dataclass(slots=True)
class Flags:
    """All flags of one call, oldest first."""

    all: list[Flag] = field(default_factory=list)

    @property
    def standing(self) -> list[Flag]:
        return [flag for flag in self.all if flag.until is None]

    def update(self, faults: Faults, present: Moment) -> list[Flag]:
        """Add new flags, and end those that have passed. Returns the new ones."""
        if not faults and not self.all:
            return []
        standing = {(flag.type, flag.party): flag for flag in self.standing}
        for key, flag in standing.items():
            if key not in faults:
                flag.until = present
        new = [Flag(*key, shifted(present, since)) for key, since in faults.items() if key not in standing]
        self.all = (self.all + new)[-KEPT:]
        return new
