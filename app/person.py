"""Who is meant: a role and an id, because user 17 and otomo 17 are two people. Knows no tokens and no calls."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.types import PartyRole, Role

OTHER: Final[dict[PartyRole, PartyRole]] = {"user": "otomo", "otomo": "user"}


class Person(NamedTuple):
    """Somebody, wherever that is not decided by a call."""

    role: Role
    id: str

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


class Parties(NamedTuple):
    """The two people of one call. Within it each is known by the role alone."""

    user: Person
    otomo: Person

    @classmethod
    def of(cls, user_id: str, otomo_id: str) -> Parties:
        return cls(Person("user", user_id), Person("otomo", otomo_id))

    def role_of(self, person: Person) -> PartyRole | None:
        """As which of the two somebody takes part; None for whoever does not, as every admin."""
        if person == self.user:
            return "user"
        return "otomo" if person == self.otomo else None

    def person(self, role: PartyRole) -> Person:
        return self.user if role == "user" else self.otomo
