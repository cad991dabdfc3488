"""What every node knows of people, in memory: which otomos are away, who blocks whom, and what users were told last of
each otomo. Who is banned is kept by :class:`~app.access.standing.Standing`, which is told from here.

Read from the ledger at the start, and then fed by the events, of all nodes in their order: so each node knows a moment
after a commit what was stored by it. Stores nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

import msgspec

from app.access.standing import Standing
from app.ledger.people import BLOCK_CHANGED, NODES, PERSON_CHANGED, Known
from app.ledger.values import Event
from app.person import Person
from schemas.base import encode
from schemas.people import BlockChanged, ListedOtomo, OtomoList, OtomoStatusWord, PersonChanged
from schemas.signaling import OtomoStatus

OTOMO_STATUS = "otomo_status"

PersonListener = Callable[[Person, PersonChanged], None]


class Directory:
    """:meth:`observe` must hear of every event that is published."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self._away: set[str] = set()
        self._blocks: defaultdict[Person, set[Person]] = defaultdict(set)  # by who blocks
        self._blocked_by: defaultdict[Person, set[Person]] = defaultdict(set)  # the same, by who is blocked
        self._told: dict[str, OtomoStatusWord] = {}  # of otomos who are not offline
        self._in_order: list[str] | None = None  # their ids; None where they are to be sorted
        self._listed: bytes | None = None  # the list's JSON text for users whom nobody blocks
        self._listeners: list[PersonListener] = []

    def on_person(self, listener: PersonListener) -> None:
        """Call ``listener(person, decided)`` after each change of what is decided of somebody; it must not wait."""
        self._listeners.append(listener)

    def load(self, known: Known) -> None:
        """What was so at the start. Events that were stored before may come after it."""
        for one in known.people:
            self._note(one)
        for person, other in known.blocks:
            self._note_block(person, other, True)
        for otomo_id, status in known.told:
            self._note_status(otomo_id, status)

    def observe(self, event: Event) -> Collection[Person]:
        """An event is about to be published. Returns the people who may not have it, though it is for all."""
        if event.to is None and event.type == OTOMO_STATUS:
            told = msgspec.json.decode(event.payload, type=OtomoStatus)
            self._note_status(told.otomo_id, told.status)
            return self._blocks.get(Person("otomo", told.otomo_id), ())
        if event.to == NODES and event.type == PERSON_CHANGED:
            self._note(msgspec.json.decode(event.payload, type=PersonChanged))
        elif event.to == NODES and event.type == BLOCK_CHANGED:
            block = msgspec.json.decode(event.payload, type=BlockChanged)
            self._note_block(Person(block.role, block.user_id), Person(block.other_role, block.other_id), block.blocked)
        return ()

    def may_have(self, person: Person, event: Event) -> bool:
        """Whether an event that was stored is for this person: what is told to all of an otomo is not for those whom
        the otomo blocks."""
        if event.to is not None or event.type != OTOMO_STATUS or not (blockers := self.blockers_of(person)):
            return True
        return Person("otomo", msgspec.json.decode(event.payload, type=OtomoStatus).otomo_id) not in blockers

    # What is known

    def is_away(self, otomo_id: str) -> bool:
        return otomo_id in self._away

    def is_blocked(self, one: Person, other: Person) -> bool:
        """Whether either blocks the other."""
        return other in self._blocks.get(one, ()) or one in self._blocks.get(other, ())

    def blockers_of(self, person: Person) -> Collection[Person]:
        """Who blocks that person."""
        return self._blocked_by.get(person, ())

    def told(self, otomo_id: str) -> OtomoStatusWord:
        """What users were told last."""
        return self._told.get(otomo_id, "offline")

    def list_for(self, person: Person) -> bytes:
        """The JSON text of an OtomoList for a user."""
        hidden = self.blockers_of(person)
        if hidden:
            return encode(OtomoList(tuple(self.otomos(person))))
        if self._listed is None:
            self._listed = encode(OtomoList(tuple(self.otomos(person))))
        return self._listed

    def otomos(self, person: Person, after: str = "") -> Iterator[ListedOtomo]:
        """The otomos who are not offline for that person, by their ids, from behind the id ``after``."""
        if self._in_order is None:
            self._in_order = sorted(self._told)
        hidden = self.blockers_of(person)
        for otomo_id in self._in_order[bisect_right(self._in_order, after) :]:
            if not hidden or Person("otomo", otomo_id) not in hidden:
                yield ListedOtomo(otomo_id, self._told[otomo_id])

    # What becomes so

    def _note(self, one: PersonChanged) -> None:
        person = Person(one.role, one.user_id)
        self.standing.note(person, one.banned, one.until_ms, one.revoked_at_ms)
        if one.away:
            self._away.add(one.user_id)
        elif one.role == "otomo":
            self._away.discard(one.user_id)
        for listener in self._listeners:
            listener(person, one)

    def _note_block(self, person: Person, other: Person, blocked: bool) -> None:
        for index, key, value in ((self._blocks, person, other), (self._blocked_by, other, person)):
            if blocked:
                index[key].add(value)
            elif value in index.get(key, ()):
                index[key].discard(value)
                if not index[key]:
                    del index[key]

    def _note_status(self, otomo_id: str, status: OtomoStatusWord) -> None:
        if self.told(otomo_id) == status:
            return
        if (self.told(otomo_id) == "offline") is not (status == "offline"):
            self._in_order = None
        self._listed = None
        if status == "offline":
            del self._told[otomo_id]
        else:
            self._told[otomo_id] = status
