"""What may be decided of people, and by whom: otomos say whether they are there, parties block one another, admins ban
people and revoke their tokens. And what follows from it on this node, for what it has of them."""

from __future__ import annotations

from collections.abc import Callable

from app.access.tokens import Claims
from app.calls import call_events
from app.calls.call import CallEvent, EndReason
from app.calls.directory import Directory
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import now
from app.errors import Forbidden
from app.ledger.people import Block
from app.person import Person
from schemas.call import EndedBy
from schemas.people import Availability, PersonChanged


class People:
    """The commands. Each has an effect on every node, on this one before it returns."""

    def __init__(self, directory: Directory, journal: Journal) -> None:
        self.directory = directory
        self._journal = journal
        self._people = journal.ledger.people

    async def set_status(self, claims: Claims, status: Availability) -> None:
        """Whether an otomo takes calls. It stays so until it is set again. Raises Forbidden for others."""
        if claims.role != "otomo":
            raise Forbidden(f"{claims.person} is no otomo")
        if self.directory.is_away(claims.user_id) is not (status == "away"):
            await self._change(claims.person, away=status == "away")

    async def ban(self, person: Person, reason: str, until_ms: int | None) -> PersonChanged:
        return await self._change(person, banned=True, ban_reason=reason, until_ms=until_ms)

    async def lift_ban(self, person: Person) -> PersonChanged:
        return await self._change(person, banned=False, ban_reason=None, until_ms=None)

    async def revoke(self, person: Person) -> PersonChanged:
        """Refuse the tokens that were issued until now."""
        return await self._change(person, revoked_at_ms=now().utc_ms)

    async def decided_of(self, person: Person) -> PersonChanged:
        return await self._people.of(person)

    async def block(self, claims: Claims, other: Person, *, blocked: bool) -> None:
        """Block somebody, or no more. An otomo who blocks a user is offline for that user from then on.

        Raises Forbidden for whoever is no party of calls, TooManyBlocks.
        """
        person, at = party(claims), now()
        told = None
        if person.role == "otomo" and other.role == "user" and self.directory.told(person.id) != "offline":
            status = "offline" if blocked else self.directory.told(person.id)
            told = call_events.otomo_status(person.id, status, at)._replace(to=other)
        storing = self._people.block(person, other, blocked=blocked, at_ms=at.utc_ms, told=told)
        await self._journal.store(storing)

    async def blocks_of(self, claims: Claims) -> tuple[Block, ...]:
        """Whom a party has blocked, the last first. Raises Forbidden for others."""
        return await self._people.blocks_of(party(claims))

    async def _change(self, person: Person, **changed: object) -> PersonChanged:
        await self._journal.store(self._people.change(person, now().utc_ms, **changed))
        return await self.decided_of(person)


def party(claims: Claims) -> Person:
    """Raises Forbidden where it is an admin."""
    if claims.is_admin:
        raise Forbidden(f"{claims.person} is no party of calls")
    return claims.person


class Bouncer:
    """Sends away who is banned, and whose tokens were revoked: their calls end, their sockets close."""

    def __init__(self, directory: Directory, registry: Registry, lifecycle: Lifecycle) -> None:
        self._standing = directory.standing
        self._registry = registry
        self._lifecycle = lifecycle
        self.close_banned: Callable[[Person], None] = nothing_to_close
        self.close_revoked: Callable[[Person], None] = nothing_to_close
        directory.on_person(self._changed)
        registry.on_busy(self._busy_changed)

    def _changed(self, person: Person, _decided: PersonChanged) -> None:
        if self._standing.is_banned(person):
            self._end_calls(person)
            self.close_banned(person)
        self.close_revoked(person)

    def _busy_changed(self, person: Person, busy: bool) -> None:
        """A call that comes from another node may be of somebody who was banned meanwhile."""
        if busy and self._standing.is_banned(person):
            self._end_calls(person)

    def _end_calls(self, person: Person) -> None:
        cause = f"{person} is banned"
        for call in self._registry.calls_of(person):
            if call.live:
                self._lifecycle.end_soon(call, CallEvent.FAIL, EndReason.BANNED, cause, by=EndedBy.ADMIN)


def nothing_to_close(_: Person) -> None:
    """Before there are sockets."""
