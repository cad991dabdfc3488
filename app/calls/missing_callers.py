"""Callers who go while their call rings: no otomo should accept a call that nobody is on. Holds no sockets."""

from __future__ import annotations

import asyncio

from app.calls import call_events
from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.lifecycle import Lifecycle
from app.calls.registry import Registry
from app.clock import now
from app.person import Person
from schemas.call import CallState

RINGING = frozenset({CallState.REQUESTING, CallState.RINGING})


class MissingCallers:
    """Cancels the ringing calls of a user whose last socket has closed, and who has none again within a grace.

    Users who do all by REST never have a socket to lose. The owner closes this object.
    """

    def __init__(self, registry: Registry, lifecycle: Lifecycle, grace_s: float) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._grace_s = grace_s
        self._gone: dict[Person, asyncio.TimerHandle] = {}

    def socket_changed(self, person: Person, online: bool) -> None:
        """A person's first socket has opened, or the last one closed."""
        timer = self._gone.pop(person, None)
        if timer is not None:
            timer.cancel()
        if not online and self._ringing(person):
            self._gone[person] = asyncio.get_running_loop().call_later(self._grace_s, self._give_up, person)

    def close(self) -> None:
        for timer in self._gone.values():
            timer.cancel()
        self._gone.clear()

    def _give_up(self, person: Person) -> None:
        del self._gone[person]
        for call in self._ringing(person):
            told = call_events.answered("call_cancelled", call, now())
            self._lifecycle.end_soon(call, CallEvent.CANCEL, EndReason.CANCELLED, "the caller is gone", events=told)

    def _ringing(self, person: Person) -> list[LiveCall]:
        """The ringing calls that a user has made."""
        calls = self._registry.calls_of(person) if person.role == "user" else ()
        return [call for call in calls if call.state in RINGING]
