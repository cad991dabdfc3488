"""A person in a browser's tab, with the client in it: what tests do to it and ask of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.firefox.browsers import Browsers, Page
from tests.integration.firefox.nodes import PEERS, DefaultNode

HERE = Path(__file__).parent
BEFORE = PEERS + (HERE / "counted.js").read_text(encoding="utf-8")
PACKETS = 50  # one second
LEAST_LEVEL = 0.01  # root mean square; both browsers' microphones beep or sing far above this


@dataclass
class Person:
    """``tab`` is the one that is in use; a reload keeps it, a new one is opened by :meth:`open`."""

    stage: Stage
    user_id: str
    role: str
    browser: int
    tabs: list[Page] = field(default_factory=list)

    @property
    def tab(self) -> Page:
        return self.tabs[-1]

    @property
    def token(self) -> str:
        return self.stage.node.token(self.user_id, self.role)

    async def open(self, **options: Any) -> Page:
        """A further tab, connected."""
        browsers = self.stage.browsers
        page = await browsers.open(self.browser, f"{self.stage.node.base}/recipe", BEFORE)
        self.tabs.append(page)
        await self.start(page, **options)
        return page

    async def start(self, page: Page, token: str | None = None, **options: Any) -> None:
        await page.until("Boolean(window.party)")
        await page.evaluate(f"party.start({json.dumps(token or self.token)}, {json.dumps(options)})")

    async def reload(self) -> None:
        await self.tab.reload()
        await self.start(self.tab)

    async def do(self, script: str) -> Any:
        """What an expression of JavaScript comes to in the tab; ``call`` and ``vp`` are the party's."""
        return await self.tab.evaluate(f"(({{ call, vp }}) => {script})(party)")

    async def until(self, script: str, within_s: float = 20.0) -> None:
        await self.tab.until(f"(({{ call, vp }}) => {script})(party)", within_s)

    async def is_in(self, state: str, within_s: float = 20.0) -> None:
        await self.until(f"call?.state === '{state}'", within_s)

    async def told(self, name: str, count: int = 1, within_s: float = 20.0) -> Any:
        """The payload of an event, the ``count``-th of that name."""
        await self.until(f"party.payloads('{name}').length >= {count}", within_s)
        return (await self.do(f"party.payloads('{name}')"))[count - 1]

    async def hears(self, within_s: float = 20.0, packets: int = PACKETS) -> float:
        """Packets come, and what the browser makes of them is loud. After how many seconds."""
        took_ms: float = await self.do(f"party.hears({packets}, {LEAST_LEVEL}, {within_s * 1000})")
        return took_ms / 1000

    async def has_left(self, **expected: int) -> None:
        """Nothing but that is there: of each kind that `left()` counts, none."""
        nothing = dict.fromkeys(("timers", "sockets", "peers", "tracks", "contexts", "listeners"), 0)
        wanted = json.dumps(nothing | expected)
        try:
            await self.tab.until(f"Object.entries({wanted}).every(([kind, count]) => left()[kind] === count)", 10)
        except AssertionError:
            raise AssertionError(f"{await self.tab.evaluate('left()')} is left, and not {wanted}") from None


@dataclass
class Stage:
    """A node, and browsers beside it."""

    node: DefaultNode
    browsers: Browsers
    chromium: int
    firefox: int

    @asynccontextmanager
    async def people(self, *browsers: int, points: int = 0, **options: Any) -> AsyncIterator[tuple[Person, Person]]:
        """A user and an otomo whom nobody knows yet, each in a tab of its own; their tabs are closed in the end."""
        mark = secrets.token_hex(4)
        first, second = browsers or (self.chromium, self.chromium)
        user, otomo = Person(self, f"user-{mark}", "user", first), Person(self, f"otomo-{mark}", "otomo", second)
        await self.ask("POST", f"/admin/wallets/{user.user_id}/adjust", wallet(points or 1000))
        try:
            for page in await asyncio.gather(user.open(**options), otomo.open(**options)):
                await page.until("left().timers === 1")  # the socket's: no request is under way any more
            yield user, otomo
        finally:
            for tab in (*user.tabs, *otomo.tabs):
                await tab.close()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """As an admin."""
        return await self.browsers.request(method, self.node.base + path, self.node.token("root", "admin"), body)


def wallet(points: int) -> dict[str, Any]:
    return {"amount": points, "reason": "test", "idempotencyKey": secrets.token_hex(8)}


async def ring(user: Person, otomo: Person) -> str:
    call_id: str = await user.do(f"party.ring('{otomo.user_id}')")
    await otomo.told("incoming")
    return call_id


async def talk(user: Person, otomo: Person) -> str:
    """They are in a call, and hear each other."""
    call_id = await ring(user, otomo)
    await otomo.do("call.accept()")
    await asyncio.gather(user.is_in("talking"), otomo.is_in("talking"))
    await asyncio.gather(user.hears(), otomo.hears())
    return call_id
