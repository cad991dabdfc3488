"""Firefox and Chromium inside a network of a test's own, as people start them, driven by puppeteer-core from Node.

Firefox is Debian's, spoken to by WebDriver BiDi: Playwright has a protocol and a build of its own. Its preferences are
a microphone that plays a tone, and that the page's host is as good as https; the permission to use the microphone is
what is kept of a prompt that was once answered.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yarl import URL

from tests.network import Network

HERE = Path(__file__).parent
PATIENCE_S = 30.0
END_WITHIN_S = 10.0
PREFERENCES = """
user_pref("media.navigator.streams.fake", true);
user_pref("dom.securecontext.allowlist", "%s");
"""
PERMISSIONS = """
PRAGMA user_version = 12;
CREATE TABLE moz_perms (id INTEGER PRIMARY KEY, origin TEXT, type TEXT, permission INTEGER, expireType INTEGER,
  expireTime INTEGER, modificationTime INTEGER);
CREATE TABLE moz_hosts (id INTEGER PRIMARY KEY, host TEXT, type TEXT, permission INTEGER, expireType INTEGER,
  expireTime INTEGER, modificationTime INTEGER, isInBrowserElement INTEGER);
"""
ALLOWED, FOR_EVER = 1, 0
CHROMIUM_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--use-fake-device-for-media-stream")

Kind = Literal["firefox", "chromium"]


@dataclass(frozen=True)
class Page:
    """One tab."""

    browsers: Browsers
    number: int

    async def click(self, selector: str) -> None:
        await self.browsers.ask("click", page=self.number, selector=selector)

    async def resize(self, width: int, height: int) -> None:
        await self.browsers.ask("resize", page=self.number, width=width, height=height)

    async def press(self, key: str, *, shift: bool = False) -> None:
        await self.browsers.ask("press", page=self.number, key=key, shift=shift)

    async def type(self, text: str) -> None:
        await self.browsers.ask("type", page=self.number, text=text)

    async def reload(self) -> None:
        await self.browsers.ask("reload", page=self.number)

    async def close(self) -> None:
        await self.browsers.ask("close", page=self.number)

    async def evaluate(self, script: str) -> Any:
        return await self.browsers.ask("evaluate", page=self.number, script=script)

    async def until(self, script: str, within_s: float = PATIENCE_S) -> None:
        """Wait until the script is true."""
        await self.browsers.ask("until", page=self.number, script=script, within=within_s * 1000)


class Browsers:
    """A driver at work."""

    def __init__(self, process: Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def launch(self, kind: Kind, origin: str) -> int:
        """A browser without a past, which lets pages of ``origin`` have its microphone."""
        folder = self._folder / f"{kind}-{next(self._numbers)}"
        folder.mkdir()
        command = firefox(folder, origin) if kind == "firefox" else chromium(folder, origin)
        number: int = await self.ask("launch", kind=kind, command=command)
        return number

    async def open(self, browser: int, url: str, before: str = "") -> Page:
        """A new tab; ``before`` is a script that runs before those of the page."""
        return Page(self, await self.ask("open", browser=browser, url=url, before=before))

    async def request(self, method: str, url: str, token: str, body: object = None) -> Any:
        """What the node answers, to whom the network is its own as well."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        answer = await self.ask("request", method=method, url=url, headers=headers, body=text)
        assert answer["status"] < 300, answer
        return answer["body"]

    async def ask(self, does: str, **options: Any) -> Any:
        assert self._process.stdin is not None
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps({"id": number, "does": does, **options}).encode() + b"\n")
            async with asyncio.timeout(2 * PATIENCE_S):
                answer = await answered
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise AssertionError(f"{does} {options.get('selector') or options.get('script') or ''}: {answer['error']}")
        return answer["value"]

    async def listen(self) -> None:
        """Until the driver ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            if waiting := self._waiting.get(answer["id"]):
                waiting.set_result(answer)
        for one in self._waiting.values():
            one.set_exception(AssertionError("the driver has ended"))


@asynccontextmanager
async def driven(network: Network, packages: Path, folder: Path) -> AsyncIterator[Browsers]:
    """``packages`` is the `node_modules` with puppeteer-core. Whatever it and its browsers keep is in ``folder``."""
    driver = folder / "driver.mjs"
    driver.write_text((HERE / "driver.mjs").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "node_modules").symlink_to(packages)  # where Node looks for what a module imports
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *network.inside("node", driver), stdin=PIPE, stdout=PIPE, env=environment, process_group=0
    )
    browsers = Browsers(process, folder)
    listening = asyncio.create_task(browsers.listen(), name="browsers")
    try:
        yield browsers
    finally:
        await end(process)
        await listening


async def end(process: Process) -> None:
    """The driver ends its browsers; where it can't, the group ends with it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await process.wait()
    finally:
        with suppress(ProcessLookupError):  # all have ended, as they should
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def firefox(profile: Path, origin: str) -> list[str]:
    (profile / "user.js").write_text(PREFERENCES % URL(origin).host)
    now_ms = int(time.time() * 1000)
    permissions = sqlite3.connect(profile / "permissions.sqlite")
    permissions.executescript(PERMISSIONS)
    row = (origin, "microphone", ALLOWED, FOR_EVER, 0, now_ms)
    permissions.execute("INSERT INTO moz_perms VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
    permissions.commit()
    permissions.close()
    options = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    return ["firefox-esr", *options, "about:blank"]


def chromium(profile: Path, origin: str) -> list[str]:
    granted = "--use-fake-ui-for-media-stream"  # the microphone, without asking
    return [
        "chromium",
        *CHROMIUM_FLAGS,
        granted,
        f"--unsafely-treat-insecure-origin-as-secure={origin}",  # a microphone is for https and localhost, else
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
