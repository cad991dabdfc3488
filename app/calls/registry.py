"""The live calls of this node: which there are, whose room an object is in, and who is in a call. These questions are
answered here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.calls.call import LiveCall
from app.errors import CallNotFound, RoomNotFound, WorkerUnavailable
from app.ledger.values import CONNECTED_STATES
from app.media.room import Room
from app.person import Person
from schemas.call import CallState

BusyListener = Callable[[Person, bool], None]


class Registry:
    """Calls by id, and rooms by the id of anything in them."""

    def __init__(self) -> None:
        self.rooms_by_object: dict[str, Room] = {}
        self._calls: dict[str, LiveCall] = {}
        self._by_person: dict[Person, set[LiveCall]] = {}
        self._listeners: list[BusyListener] = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(list(self._calls.values()))

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def talking(self) -> list[LiveCall]:
        return [call for call in self._calls.values() if call.state is CallState.TALKING]

    def connected(self) -> list[LiveCall]:
        """The calls that are talking or interrupted."""
        return [call for call in self._calls.values() if call.state in CONNECTED_STATES]

    def connecting(self) -> list[LiveCall]:
        """The calls whose parties set up their media, and may send already."""
        return [call for call in self._calls.values() if call.state is CallState.CONNECTING]

    def add(self, call: LiveCall) -> None:
        self._calls[call.id] = call
        for person in call.parties:
            mine = self._by_person.setdefault(person, set())
            mine.add(call)
            if len(mine) == 1:
                self._notify(person, True)

    def remove(self, call: LiveCall) -> None:
        if self._calls.pop(call.id, None) is None:
            return
        for person in call.parties:
            mine = self._by_person[person]
            mine.discard(call)
            if not mine:
                del self._by_person[person]
                self._notify(person, False)

    def find(self, call_id: str) -> LiveCall | None:
        return self._calls.get(call_id)

    def call(self, call_id: str) -> LiveCall:
        call = self._calls.get(call_id)
        if call is None:
            raise CallNotFound(call_id)
        return call

    def room(self, call_id: str, party: Person | None = None) -> Room:
        """The room of a call. Raises RoomNotFound where it has none; Forbidden where ``party`` is given and is none of
        the call; WorkerUnavailable while the call gets another room."""
        call = self._calls.get(call_id)
        if call is None or not call.live or call.matched_at is None:
            raise RoomNotFound(call_id)
        if party is not None:
            call.liveness_of(party)
        if call.room is None:
            raise WorkerUnavailable(f"call {call_id} gets another room")
        return call.room

    def room_with(self, object_id: str) -> Room | None:
        """The room of that transport, producer or consumer; None where there is none."""
        return self.rooms_by_object.get(object_id)

    def busy(self, person: Person) -> bool:
        return person in self._by_person

    def calls_of(self, person: Person) -> list[LiveCall]:
        return list(self._by_person.get(person, ()))

    def on_busy(self, listener: BusyListener) -> None:
        """Call ``listener(person, busy)`` when a person's first call begins and when the last one has ended."""
        self._listeners.append(listener)

    def _notify(self, person: Person, busy: bool) -> None:
        for listener in self._listeners:
            listener(person, busy)
