"""Requests for what lives on another node: looked for here first, at no cost, then passed on untouched to its owner.

The owner's ordinary guard decides, by the client's own ``Authorization``, so that no node trusts another's word for it.
What is never sent twice is what may have been done: where no answer comes the client gets a 503, and asks again itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import hdrs
from yarl import URL

from app.cluster.hops import Hops
from app.cluster.ids import number_of
from app.cluster.membership import Membership
from app.errors import (
    CallNotFound,
    ConsumerNotFound,
    LivesElsewhere,
    ProducerNotFound,
    RoomNotFound,
    TransportNotFound,
    WorkerUnavailable,
)
from app.ledger import Ledger
from app.ledger.nodes import Node
from app.ledger.values import Event
from app.media.preflights import object_id_of
from app.person import Person
from schemas.signaling import TYPE_OF, MediaMoved

OWNER_WITHIN_S = 3.0  # for the calls of a node that has just died to have another owner
LOOK_AGAIN_S = 0.1
ANSWER_WITHIN_S = 8.0  # shorter than clients wait: they are to hear that it is not known, and ask again
GIVEN_BACK = (hdrs.CONTENT_TYPE, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE, "X-Request-Id")
OF_A_CALL = (CallNotFound, RoomNotFound, LivesElsewhere)
OF_AN_OBJECT = (TransportNotFound, ProducerNotFound, ConsumerNotFound)
KNOWN_OWNERS = 10_000
MISDIRECTED = 421  # RFC 9110 §15.5.20: the call has another owner by now
MEDIA_MOVED = TYPE_OF[MediaMoved]
NOT_THERE = (404, MISDIRECTED)  # of an owner that is remembered: it may have given the call away

log = logging.getLogger(__name__)


class CameHere(Exception):
    """What was not found here is here by now."""


class Answered(NamedTuple):
    """What a node has answered; ``headers`` are those that the client gets."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Forwarder:
    """Made by :meth:`running`."""

    def __init__(self, http: aiohttp.ClientSession, membership: Membership, ledger: Ledger, hops: Hops) -> None:
        self._http = http
        self._membership = membership
        self._ledger = ledger
        self._owners: OrderedDict[str, str] = OrderedDict()  # incarnations by call id
        self.hops = hops

    @classmethod
    @asynccontextmanager
    async def running(cls, membership: Membership, ledger: Ledger, secret: str) -> AsyncIterator[Forwarder]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as http:
            yield cls(http, membership, ledger, Hops(secret, membership.clock_ms))

    async def forward(
        self,
        error: Exception,
        method: str,
        target: str,
        body: bytes,
        headers: Mapping[str, str],
        person: Person | None = None,
    ) -> Answered:
        """The answer of the owner of what ``error`` says is not here; ``person`` is for whom, where no token says it.

        Raises ``error`` where it is nowhere, CameHere where it is here by now, and WorkerUnavailable where its owner is
        gone and no other one is there in time.
        """
        until = time.monotonic() + OWNER_WITHIN_S
        while True:
            remembered = self._remembered(error)
            owner = remembered or await self._owner_of(error)
            if owner is not None:
                try:
                    answered = await self.ask(owner, method, target, body, headers, person)
                except aiohttp.ClientConnectorError as refused:  # nothing has happened there
                    log.debug("node %s can't be reached: %s", owner.name, refused)
                else:
                    if answered.status not in (NOT_THERE if remembered else (MISDIRECTED,)):
                        return answered
            self._owners.pop(wanted_by(error), None)
            if remembered is None:
                if time.monotonic() > until:
                    raise WorkerUnavailable("its owner does not answer")
                await asyncio.sleep(LOOK_AGAIN_S)

    def hear(self, events: Sequence[Event]) -> None:
        """Events that were published: some tell of a call that has another owner."""
        for event in events:
            if event.type == MEDIA_MOVED and event.call_id is not None:
                self._owners.pop(event.call_id, None)

    async def pass_on(
        self, error: Exception, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Answered:
        """The answer of a node that takes calls, where this one takes none. Raises ``error`` where none does."""
        node = self._membership.least_stressed()
        if node is None:
            raise error
        return await self.ask(node, method, target, body, headers)

    async def ask(
        self,
        node: Node,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        person: Person | None = None,
    ) -> Answered:
        """A node's answer.

        Raises ClientConnectorError where it was not reached, WorkerUnavailable where no answer came: it may be done.
        """
        marked = {**(headers or {}), **self.hops.mark(method, target, person)}
        url = URL(node.address + target, encoded=True)
        try:
            async with self._http.request(method, url, data=body or None, headers=marked) as answer:
                back = {name: answer.headers[name] for name in GIVEN_BACK if name in answer.headers}
                return Answered(answer.status, await answer.read(), back)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, TimeoutError) as error:
            raise WorkerUnavailable(f"node {node.name} has not answered: {error}") from error

    def _remembered(self, error: Exception) -> Node | None:
        """Where the call was that was not found here, when it was last asked for."""
        return self._membership.view.by_incarnation(self._owners.get(wanted_by(error), ""))

    async def _owner_of(self, error: Exception) -> Node | None:
        """The node that has what was not found here; None while none has it. Raises ``error`` where it is nowhere,
        CameHere where it is here by now."""
        wanted = wanted_by(error)
        view = self._membership.view
        numbered = wanted if isinstance(error, OF_AN_OBJECT) else object_id_of(wanted)
        if numbered is not None:
            node = view.by_number(number_of(numbered))
            if node is None or node.number == view.me.number:
                raise error
            return node
        incarnation = await self._ledger.owner_of(wanted)
        if incarnation is None:
            raise error
        if incarnation == view.me.incarnation:
            raise CameHere
        self._owners[wanted] = incarnation
        if len(self._owners) > KNOWN_OWNERS:
            self._owners.popitem(last=False)
        return view.by_incarnation(incarnation)


def wanted_by(error: Exception) -> str:
    """The id of what was not found."""
    return str(error.args[0]) if error.args else ""
