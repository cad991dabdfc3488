"""What every object in the worker has in common: an id of our choosing, one owner, and one way to close.

The table below is the whole cascade. Closing an object tells the worker once, of that object alone: the worker drops
what it owned by itself, and we drop the same by the same table.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

from worker_bridge.channel import Body, Channel
from worker_bridge.checks import instance
from worker_bridge.errors import InvalidParameters, ResourceClosed
from worker_bridge.event_names import AnyEvent, ResourceEvent, names_of
from worker_bridge.event_values import Listenable

logger = logging.getLogger(__name__)


class CloseReason(Enum):
    """Why an object closed. Reaches logs, metrics and clients unchanged."""

    REQUESTED = "REQUESTED"  # by its own close()
    OWNER_CLOSED = "OWNER_CLOSED"  # what owned or carried it closed
    PRODUCER_CLOSED = "PRODUCER_CLOSED"  # a consumer's producer, or a data consumer's data producer, closed
    PIPE_CLOSED = "PIPE_CLOSED"  # what it continues across a pipe, or what continues it there, closed
    WORKER_DIED = "WORKER_DIED"  # the process died, hung or was stopped: its own, or that at the other end of its pipe


class Kind(NamedTuple):
    """A kind of object: how the worker is told to close it, by the handler id of its owner; what closes with it, and
    the event by which that hears of it."""

    close_method: str
    id_field: str
    event: str = ""
    closes: tuple[str, ...] = ()


CARRIED = ("producer", "consumer", "data_producer", "data_consumer")

CASCADE: dict[str, Kind] = {
    "worker": Kind("", "", "workerclose", ("router", "webrtc_server")),  # ends as a process, not by a request
    "webrtc_server": Kind("WORKER_WEBRTCSERVER_CLOSE", "web_rtc_server_id", "listenserverclose", ("transport",)),
    "router": Kind("WORKER_CLOSE_ROUTER", "router_id", "routerclose", ("transport", "rtp_observer")),
    "transport": Kind("ROUTER_CLOSE_TRANSPORT", "transport_id", "transportclose", CARRIED),
    "producer": Kind("TRANSPORT_CLOSE_PRODUCER", "producer_id", "producerclose", ("consumer",)),
    "consumer": Kind("TRANSPORT_CLOSE_CONSUMER", "consumer_id"),
    "data_producer": Kind("TRANSPORT_CLOSE_DATAPRODUCER", "data_producer_id", "dataproducerclose", ("data_consumer",)),
    "data_consumer": Kind("TRANSPORT_CLOSE_DATACONSUMER", "data_consumer_id"),
    "rtp_observer": Kind("ROUTER_CLOSE_RTPOBSERVER", "rtp_observer_id"),
}
"""The consumers of a closed producer, data or media, close with PRODUCER_CLOSED, by the worker's own notification;
every other child with OWNER_CLOSED; everything with WORKER_DIED when the worker dies."""


Asked = tuple[str, Body]
"""A method and its body."""

AppData = dict[str, Any]


class Resource(Listenable[AnyEvent]):
    """An object that lives in the worker, and a context manager that closes it.

    Events: ``close(reason)`` on all, and before it the event of what took it along (see ``CASCADE``); more on each
    class.
    """

    known_events = names_of(ResourceEvent)
    resource_kind: ClassVar[str]
    """Its name in ``CASCADE``. (``kind`` is audio or video.)"""

    # Most objects never own, carry or tell anything: they have the class's own nothing until they do.
    _children: Mapping[str, Resource] = MappingProxyType({})
    _tables: tuple[MutableMapping[str, Any], ...] = ()
    _on_closed: tuple[Callable[[Any], object], ...] = ()
    _close_reason: CloseReason | None = None
    _app_data: AppData | None = None

    def __init__(self, resource_id: str, channel: Channel, owner_id: str) -> None:
        self.id = resource_id
        self._channel = channel
        self._owner_id = owner_id

    def __repr__(self) -> str:
        state = self._close_reason.value if self._close_reason else "open"
        return f"<{type(self).__name__} {self.id} {state}>"

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more, whoever closed it."""
        return self._close_reason is not None

    @property
    def close_reason(self) -> CloseReason | None:
        """Why it closed; None as long as it is open."""
        return self._close_reason

    @property
    def app_data(self) -> AppData:
        """The application's own, as it was given or set: the bridge keeps it and never looks at it."""
        if self._app_data is None:
            self._app_data = {}
        return self._app_data

    @app_data.setter
    def app_data(self, value: AppData) -> None:
        instance("app_data", value, dict)
        self._app_data = value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def remove_from_on_close(self, table: MutableMapping[str, Any]) -> None:
        """Have its id taken out of ``table`` when it closes, before any callback; the cheapest way to follow it."""
        self._tables = (*self._tables, table)

    def on_closed(self, callback: Callable[[Self], object]) -> None:
        """Have ``callback`` called with it when it closes, before the event; cheaper than an emitter."""
        self._on_closed = (*self._on_closed, callback)

    def close(self) -> None:
        """Close it and what it owns, at once; the worker is told. A second close does nothing."""
        self._close(CloseReason.REQUESTED, tell=True)

    def close_as_pipe(self, other_end: CloseReason) -> None:
        """As ``close``, because what it continues, or continues it, across a pipe closed for that reason."""
        died = other_end is CloseReason.WORKER_DIED
        self._close(other_end if died else CloseReason.PIPE_CLOSED, tell=True)

    def _close(self, reason: CloseReason, *, event: str = "", tell: bool = False) -> None:
        """``event`` is the one of what takes it along; ``tell`` where the worker does not know."""
        if self._close_reason is not None:
            return
        self._close_reason = reason
        kind = CASCADE[self.resource_kind]
        self._channel.unlisten(self.id)
        if tell:
            self._channel.post(kind.close_method, self._owner_id, {kind.id_field: self.id})
        passed_on = reason if reason is CloseReason.WORKER_DIED else CloseReason.OWNER_CLOSED
        for child in self._owned():
            self._take_along(child, passed_on, kind.event)
        tables, self._tables = self._tables, ()
        for table in tables:
            table.pop(self.id, None)
        callbacks, self._on_closed = self._on_closed, ()
        for callback in callbacks:
            callback(self)
        logger.debug("%r closed", self)
        if event:
            self._emit(event)
        self._emit("close", reason)
        if self._emitter is not None:
            self._emitter.remove_all_listeners()  # who listens is often who holds us

    def _take_along(self, child: Resource, reason: CloseReason, event: str) -> None:
        child._close(reason, event=event)

    def _owned(self) -> list[Resource]:
        """What closes with it, in this order."""
        return list(self._children.values())

    async def _create(
        self,
        child: Resource,
        method: str,
        body: Body,
        *,
        app_data: AppData | None = None,
        carrier: Resource | None = None,
        then: Sequence[Asked] = (),
    ) -> None:
        """Ask the worker for ``child``, which listens from before it exists, and have it read the answer.

        ``carrier`` takes the child along, too, when it closes. What has to be asked of the child at once, ``then``,
        goes in the same breath: no packet comes in between.

        If asking fails, nothing is left; if it is cancelled, what the worker may make is closed behind it. Raises
        ResourceClosed where the child, its carrier or we are closed, or were while the worker was working.
        """
        if self._close_reason is not None:
            raise self._closed_error()
        if self._channel.listens(child.id):
            raise InvalidParameters(f"{child.id} is the id of something else in this worker")
        if app_data is not None:
            child.app_data = app_data
        if carrier is not None:
            self._add_child_to(carrier, child)
        self._add_child(child)
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
            child._close(CloseReason.REQUESTED)
            raise
        if child._close_reason is not None:
            raise child._closed_error()
        child._created(answer)

    def _add_child_to(self, carrier: Resource, child: Resource) -> None:
        carrier._require_open()
        carrier._add_child(child)

    def _add_child(self, child: Resource) -> None:
        children = self._children
        if not isinstance(children, dict):
            self._children = children = {}
        children[child.id] = child
        child.remove_from_on_close(children)

    def _count_objects(self, found: Counter[str]) -> None:
        """Count what it owns, and what that owns, by kind. A transport on a server's port is its router's."""
        for child in self._children.values():
            self._count(child, found)

    def _count(self, child: Resource, found: Counter[str]) -> None:
        found[child.resource_kind] += 1
        if child.resource_kind != "webrtc_server":
            child._count_objects(found)

    def _created(self, answer: Body) -> None:
        """What the worker said when it had made it. Classes that are told something override it."""

    def _require_open(self) -> None:
        if self._close_reason is not None:
            raise self._closed_error()

    def _closed_error(self) -> ResourceClosed:
        why = self._close_reason.value if self._close_reason else "it should be open"
        return ResourceClosed(f"{type(self).__name__} {self.id} is closed: {why}")

    async def _request(self, method: str, body: Body | None = None) -> Body:
        self._require_open()
        return await self._channel.send(method, self.id, body)

    def _notified(self, event: str, body: Body) -> None:
        """A notification of the worker for this object. Classes that get some override it."""
        logger.debug("%r: %s is not used", self, event)
