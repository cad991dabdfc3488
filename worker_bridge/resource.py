"""What every object in the worker has in common: an id of our choosing, one owner, and one way to close.

The table below is the whole cascade. Closing an object tells the worker once, of that object alone: the worker drops
what it owned by itself, and we drop the same by the same table.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, MutableMapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple

from worker_bridge.channel import Body, Channel
from worker_bridge.emitter import Emitter
from worker_bridge.errors import ResourceClosed

logger = logging.getLogger(__name__)


class CloseReason(Enum):
    """Why an object closed. Reaches logs, metrics and clients unchanged."""

    REQUESTED = "REQUESTED"  # by its own close()
    OWNER_CLOSED = "OWNER_CLOSED"  # what owned or carried it closed
    PRODUCER_CLOSED = "PRODUCER_CLOSED"  # a consumer's producer closed
    WORKER_DIED = "WORKER_DIED"  # the process died, hung or was stopped


class Kind(NamedTuple):
    """A kind of object: how the worker is told to close it, by the handler id of its owner, and what closes with it."""

    close_method: str
    id_field: str
    closes: tuple[str, ...] = ()


CASCADE: dict[str, Kind] = {
    "worker": Kind("", "", ("webrtc_server", "router")),  # ends as a process, not by a request
    "webrtc_server": Kind("WORKER_WEBRTCSERVER_CLOSE", "web_rtc_server_id", ("transport",)),
    "router": Kind("WORKER_CLOSE_ROUTER", "router_id", ("transport", "rtp_observer")),
    "transport": Kind("ROUTER_CLOSE_TRANSPORT", "transport_id", ("producer", "consumer")),
    "producer": Kind("TRANSPORT_CLOSE_PRODUCER", "producer_id", ("consumer",)),
    "consumer": Kind("TRANSPORT_CLOSE_CONSUMER", "consumer_id"),
    "rtp_observer": Kind("ROUTER_CLOSE_RTPOBSERVER", "rtp_observer_id"),
}
"""A consumer of a closed producer closes with PRODUCER_CLOSED, by the worker's own notification; every other child
with OWNER_CLOSED; everything with WORKER_DIED when the worker dies."""


Asked = tuple[str, Body]
"""A method and its body."""


def new_id() -> str:
    """Ids are ours (UUID, RFC 9562 version 4), so that an object can listen before the worker knows it."""
    return str(uuid.uuid4())


class Resource:
    """An object that lives in the worker. Events: ``close(reason)`` on all; more on each class."""

    kind: ClassVar[str]

    def __init__(self, resource_id: str, channel: Channel, owner_id: str) -> None:
        self.id = resource_id
        self._channel = channel
        self._owner_id = owner_id
        self._children: dict[str, Resource] = {}
        self._tables: list[MutableMapping[str, Any]] = []
        self._on_closed: list[Callable[[], object]] = []
        self._close_reason: CloseReason | None = None
        self._emitter: Emitter | None = None

    def __repr__(self) -> str:
        state = self._close_reason.value if self._close_reason else "open"
        return f"<{type(self).__name__} {self.id} {state}>"

    @property
    def closed(self) -> bool:
        return self._close_reason is not None

    @property
    def close_reason(self) -> CloseReason | None:
        return self._close_reason

    @property
    def events(self) -> Emitter:
        """Where to listen. Made on first use: most objects of a call are never listened to."""
        if self._emitter is None:
            self._emitter = Emitter()
        return self._emitter

    def forget_in(self, table: MutableMapping[str, Any]) -> None:
        """Have its id taken out of ``table`` when it closes, before any callback; the cheapest way to follow it."""
        self._tables.append(table)

    def on_closed(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called when it closes, before the event; cheaper than an emitter."""
        self._on_closed.append(callback)

    def close(self) -> None:
        """Close it and what it owns, at once; the worker is told. A second close does nothing."""
        self._close(CloseReason.REQUESTED)

    def _close(self, reason: CloseReason, *, tell: bool = True) -> None:
        if self._close_reason is not None:
            return
        self._close_reason = reason
        self._channel.unlisten(self.id)
        if reason is CloseReason.REQUESTED and tell:
            closing = CASCADE[self.kind]
            self._channel.post(closing.close_method, self._owner_id, {closing.id_field: self.id})
        passed_on = reason if reason is CloseReason.WORKER_DIED else CloseReason.OWNER_CLOSED
        for child in list(self._children.values()):
            child._close(passed_on)
        for table in self._tables:
            table.pop(self.id, None)
        self._tables.clear()
        for callback in self._on_closed:
            callback()
        self._on_closed.clear()
        logger.debug("%r closed", self)
        self._emit("close", reason)

    async def _create(self, child: Resource, method: str, body: Body, *, then: Sequence[Asked] = ()) -> Body:
        """Ask the worker for ``child``, which listens from before it exists. Returns the answer's body.

        What has to be asked of the child at once, ``then``, goes in the same breath: no packet comes in between.

        If asking fails, nothing is left; if it is cancelled, what the worker may make is closed behind it. Raises
        ResourceClosed if the child, or we, were closed while the worker was working.
        """
        self._require_open()
        self._adopt(child)
        self._channel.listen(child.id, child._notified)
        try:
            asked = self._channel.send(method, self.id, body)
            for next_method, next_body in then:
                self._channel.post(next_method, child.id, next_body)
            answer = await asked
        except asyncio.CancelledError:
            child.close()
            raise
        except BaseException:
            child._close(CloseReason.REQUESTED, tell=False)
            raise
        child._require_open()
        return answer

    def _adopt(self, child: Resource) -> None:
        self._children[child.id] = child
        child.forget_in(self._children)

    def _require_open(self) -> None:
        if self._close_reason is not None:
            raise ResourceClosed(f"{self!r} is closed")

    async def _request(self, method: str, body: Body | None = None) -> Body:
        self._require_open()
        return await self._channel.send(method, self.id, body)

    def _emit(self, event: str, *values: Any) -> None:
        if self._emitter is not None:
            self._emitter.emit(event, *values)

    def _notified(self, event: str, body: Body) -> None:
        """A notification of the worker for this object. Classes that get some override it."""
        logger.debug("%r: %s is not used", self, event)
