"""The live calls of this node: who owns which call, which room holds which object, who is in a call.

A node of several will ask elsewhere; until then these questions are answered here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.calls.call import LiveCall
from app.calls.room import Room
from app.errors import CallNotFound, RoomNotFound
from app.ledger.values import CallState

BusyListener = Callable[[str, bool], None]


class Registry:
    """Calls by id, and rooms by the id of anything in them."""

    def __init__(self) -> None:
        self.rooms_by_object: dict[str, Room] = {}
        self._calls: dict[str, LiveCall] = {}
        self._by_user: dict[str, set[LiveCall]] = {}
        self._listeners: list[BusyListener] = []

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(list(self._calls.values()))

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def talking(self) -> list[LiveCall]:
        return [call for call in self._calls.values() if call.state is CallState.TALKING]

    def add(self, call: LiveCall) -> None:
        self._calls[call.id] = call
        for user_id in call.parties:
            mine = self._by_user.setdefault(user_id, set())
            mine.add(call)
            if len(mine) == 1:
                self._tell(user_id, True)

    def remove(self, call: LiveCall) -> None:
        if self._calls.pop(call.id, None) is None:
            return
        for user_id in call.parties:
            mine = self._by_user[user_id]
            mine.discard(call)
            if not mine:
                del self._by_user[user_id]
                self._tell(user_id, False)

    def find(self, call_id: str) -> LiveCall | None:
        return self._calls.get(call_id)

    def call(self, call_id: str) -> LiveCall:
        call = self._calls.get(call_id)
        if call is None:
            raise CallNotFound(call_id)
        return call

    def room(self, call_id: str) -> Room:
        call = self._calls.get(call_id)
        if call is None or call.room is None or not call.live:
            raise RoomNotFound(call_id)
        return call.room

    def room_with(self, object_id: str) -> Room | None:
        """The room in which that transport, producer or consumer is."""
        return self.rooms_by_object.get(object_id)

    def busy(self, user_id: str) -> bool:
        return user_id in self._by_user

    def calls_of(self, user_id: str) -> list[LiveCall]:
        return list(self._by_user.get(user_id, ()))

    def on_busy(self, listener: BusyListener) -> None:
        """Call ``listener(user_id, busy)`` when a user's first call begins and when the last one has ended."""
        self._listeners.append(listener)

    def _tell(self, user_id: str, busy: bool) -> None:
        for listener in self._listeners:
            listener(user_id, busy)
