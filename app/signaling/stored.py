"""Stored events on their way to sockets: published as they are committed, replayed to whoever was not there.

An event is told only from here, and so only once it is a row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from msgspec import Raw

from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Event as StoredEvent
from app.person import Person
from app.signaling.connection import Greet, Replay
from app.signaling.hub import Event, Hub
from schemas.base import encode
from schemas.signaling import EventMessage

REPLAYED_AT_ONCE = 200  # events of a page: the next one is read once a reconnecting client has taken the last


def publisher(
    hub: Hub, observe: Callable[[StoredEvent], Collection[Person]], then: Callable[[], None]
) -> Callable[[Sequence[StoredEvent]], None]:
    """Publishes stored events to the open sockets. Clients that are away get them from the ledger, by ``since``.

    ``observe(event)`` comes before, and says who may not have an event that is for all; ``then()`` comes after some
    events: something was committed.
    """

    def publish(events: Sequence[StoredEvent]) -> None:
        for event in events:
            hub.publish(told(event), observe(event))
        then()

    return publish


def replayer(ledger: Ledger, may_have: Callable[[Person, StoredEvent], bool]) -> Replay:
    """Reads from the ledger what was published to a person after an event's number, and what that person
    ``may_have``. Raises LedgerUnavailable."""

    async def replay(person: Person, since: int) -> list[Event]:
        while page := await ledger.events_since(person, since, limit=REPLAYED_AT_ONCE):
            if found := [told(event) for event in page if may_have(person, event)]:
                return found
            since = page[-1].seq
        return []

    return replay


def greeter(list_for: Callable[[Person], bytes]) -> Greet:
    """What a socket begins with: to users, who is there. ``list_for`` gives the JSON text of an OtomoList."""

    def greet(person: Person) -> bytes | None:
        return encode(EventMessage("otomo_list", Raw(list_for(person)))) if person.role == "user" else None

    return greet


def ringing(ledger: Ledger) -> Callable[[Person], Awaitable[int | None]]:
    """The event from which on an otomo who comes while it rings has to be told."""

    async def ringing_since(person: Person) -> int | None:
        with suppress(LedgerUnavailable):  # the socket opens all the same
            return await ledger.ringing_since(person.id) if person.role == "otomo" else None
        return None

    return ringing_since


def told(event: StoredEvent) -> Event:
    return Event(event.seq, event.to, event.type, event.payload)
