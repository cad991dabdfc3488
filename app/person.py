"""A person is a role and an id: user 17 and otomo 17 are two people. Knows no tokens and no calls."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.types import PartyRole, Role

OTHER: Final[dict[PartyRole, PartyRole]] = {"user": "otomo", "otomo": "user"}


class Person(NamedTuple):
    """Somebody, by role and id."""

    role: Role
    id: str

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


class Parties(NamedTuple):
    """The two people of one call. Within it, a role says which of them is meant."""

    user: Person
    otomo: Person

    @classmethod
    def of(cls, user_id: str, otomo_id: str) -> Parties:
        return cls(Person("user", user_id), Person("otomo", otomo_id))

    def role_of(self, person: Person) -> PartyRole | None:
        """The role that a person has in the call; None for strangers and admins."""
        if person == self.user:
            return "user"
        return "otomo" if person == self.otomo else None

    def person(self, role: PartyRole) -> Person:
        return self.user if role == "user" else self.otomo
