"""Three nodes behind HAProxy on one PostgreSQL: started at once, killed, frozen, started again; and what their database
says of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from sqlalchemy import text

from app.ledger import Ledger
from app.ledger.backend import open_database
from app.ledger.database import TIMEOUT_S
from app.ledger.values import Call
from tests.cluster.balancer import balanced
from tests.cluster.member import UNIT_S, Members
from tests.conftest import eventually, free_ports
from tests.crash.books import Books, books_at
from tests.crash.killed_node import Node
from voiceplane.client.api import Api

NAMES = ("one", "two", "three")
JOINED_WITHIN_S = 20.0
LEASE_S = 4.0
NOBODY = "looks-on"  # the node in whose name tests look at the database
NOTHING_ELSE: Mapping[str, Mapping[str, object]] = {}
NOTE_WRITERS = (  # the session's name says which process a row is from
    "CREATE TABLE written (id bigserial PRIMARY KEY, what text, call_id text, session text)",
    """CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO written (what, call_id, session)
         VALUES (TG_TABLE_NAME, NEW.call_id, current_setting('application_name'));
         RETURN NULL;
       END $$""",
    *(
        f"CREATE TRIGGER note_writer AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note_writer()"
        for table in ("events", "call_units", "call_segments", "call_transitions")
    ),
)


class Service:
    """Made by :meth:`running`. ``base`` is the balancer's; ``nodes`` are those that were started last, by name."""

    def __init__(self, base: str, ledger: Ledger, member: Members, stack: AsyncExitStack, ports: Mapping[str, int]):
        self.base = base
        self.ledger = ledger
        self.nodes: dict[str, Node] = {}
        self._member = member
        self._stack = stack
        self._ports = ports

    @classmethod
    @asynccontextmanager
    async def running(
        cls, member: Members, *, only: Mapping[str, Mapping[str, object]] = NOTHING_ELSE, **changed: object
    ) -> AsyncIterator[Service]:
        """With all nodes up, and each known to the others. ``only`` is what is different about a node: its settings,
        and the ``environment`` of its process."""
        ports = {name: free_ports(1) for name in NAMES}
        async with AsyncExitStack() as stack:
            base = await stack.enter_async_context(balanced(list(ports.values())))
            database = await stack.enter_async_context(open_database(member.url, TIMEOUT_S))
            ledger = Ledger(database, NOBODY)  # the nodes make the schema, which may be an earlier release's
            service = cls(base, ledger, member, stack, ports)
            await asyncio.gather(*(service.start(name, **{**changed, **only.get(name, {})}) for name in NAMES))
            await eventually(service.not_all_up, within_s=JOINED_WITHIN_S)
            await eventually(service.not_led_on, within_s=JOINED_WITHIN_S)
            yield service

    async def start(self, name: str, **changed: Any) -> Node:
        """The node of that name, ready: for the first time, or again once it is gone."""
        joining = self._member(name, port=self._ports[name], **changed)
        node = self.nodes[name] = await self._stack.enter_async_context(joining)
        return node

    def token(self, user_id: str, role: str) -> str:
        return self.nodes[NAMES[0]].token(user_id, role)

    def api(self, http: aiohttp.ClientSession, user_id: str = "root", role: str = "admin") -> Api:
        """By the balancer."""
        return Api(http, self.base, self.token(user_id, role))

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The node's process stands still; its workers forward on, and its connections stay open."""
        self.nodes[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.nodes[name].send_signal(signal.SIGCONT)

    unit_s = UNIT_S

    # what the database says

    async def rows(self, query: str) -> list[Any]:
        return await self.ledger._database.read(lambda tx: tx.execute(text(query)).all())

    async def write(self, statement: str) -> None:
        await self.ledger._database.write(lambda tx: tx.exec_driver_sql(statement))

    async def note_writers(self) -> None:
        """From now on, keep whose session each event, unit, room and step of a call is from."""
        for statement in NOTE_WRITERS:
            await self.write(statement)

    async def writers(self, call_id: str, after: int = 0) -> list[tuple[int, str]]:
        """(number, name of the node) of each row about the call after that one, in their order."""
        of = await self.rows(
            "SELECT written.id, nodes.name FROM written JOIN nodes USING (session) "
            f"WHERE call_id = '{call_id}' AND written.id > {after} ORDER BY written.id"
        )
        return [(number, name) for number, name in of]

    async def not_all_up(self) -> str | None:
        up = [name for (name,) in await self.rows("SELECT name FROM nodes WHERE state = 'up'")]
        return None if sorted(up) == sorted(NAMES) else f"up are {up}"

    async def not_led_on(self) -> str | None:
        """The balancer looks by itself which nodes are there."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.base}/health/ready") as answer:
            return None if answer.status == 200 else f"the balancer answers {answer.status}"

    async def incarnations(self) -> set[str]:
        """Of the nodes that are not gone."""
        return {one for (one,) in await self.rows("SELECT incarnation FROM nodes WHERE state <> 'gone'")}

    async def call(self, call_id: str) -> Call:
        call = await self.ledger.call(call_id)
        assert call is not None
        return call

    async def owner(self, call_id: str) -> str:
        """The name of the node that the call lives on."""
        return (await self.call(call_id)).node.rpartition("-")[0]

    async def books(self, *users: str) -> Books:
        """Everything stored, which has to add up."""
        books = await books_at(self._member.url, users)
        assert books.audit == ()
        return books
