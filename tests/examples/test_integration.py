"""The back ends of docs/integration.md, as programs of their own, at a node with a worker: a call that is talked,
charged, told of and refunded; and whatever comes twice, late, or from somebody else."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.web import build
from app.webhooks import signing
from tests.conftest import SECRET, Server, eventually, free_ports, serving
from tests.documents import ROOT, blocks
from tests.examples.programs import EXAMPLES, Running, launched, run
from voiceplane.client import Api

FOLDER = EXAMPLES / "integration"
DOCUMENT = "docs/integration.md"
LANGUAGES = ("python", "typescript")
TALK_S = 4
PRICE = 10
SOLD = 500

both_languages = pytest.mark.parametrize("language", LANGUAGES)
pytestmark = pytest.mark.timeout(180)


@dataclass
class Shop:
    """A node that tells a back end of its calls, and that back end, which can be started again and again."""

    server: Server
    admin: Api
    command: list[object]
    inbox: Path
    url: str
    webhook: dict[str, Any]
    secret: str
    posts: aiohttp.ClientSession
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def open(self, order: int = 1001) -> AbstractAsyncContextManager[Running]:
        environment = {
            "VOICE_URL": self.server.base,
            "JWT_SECRET": SECRET,
            "WEBHOOK_SECRET": self.secret,
            "PORT": str(re.findall(r"\d+", self.url)[-1]),
            "INBOX": str(self.inbox),
        }
        return launched([*self.command, "alice", "hana", order], **environment)

    async def tokens(self, program: Running) -> list[str]:
        return [(await program.says(f"for the page of {who}: ")).rpartition(" ")[2] for who in ("alice", "hana")]

    async def delivered(self) -> None:
        """Everything that was told has arrived."""

        async def why_not() -> object:
            page = await self.admin.request("GET", f"/admin/webhooks/{self.webhook['webhookId']}/deliveries")
            return [one for one in page["deliveries"] if one["status"] != "delivered"]

        await eventually(why_not, within_s=20)

    async def send_now(self) -> None:
        """What is waiting for another try is not waited for."""
        page = await self.admin.request("GET", f"/admin/webhooks/{self.webhook['webhookId']}/deliveries?status=pending")
        for one in page["deliveries"]:
            await self.admin.request("POST", f"/admin/webhooks/deliveries/{one['deliveryId']}/retry")

    async def balance(self) -> int:
        return (await self.admin.request("GET", "/admin/wallets/alice"))["balance"]

    async def post(self, body: bytes, secret: str, webhook_id: str = "msg_1") -> int:
        now_s = int(datetime.now(UTC).timestamp())
        headers = signing.headers(webhook_id, now_s, body, [secret])
        async with self.posts.post(self.url, data=body, headers=headers) as answer:
            return answer.status


Open = Callable[[str], AbstractAsyncContextManager[Shop]]


@pytest.fixture
def shop(settings_with, tmp_path, typescript) -> Open:
    @asynccontextmanager
    async def make(language: str) -> AsyncIterator[Shop]:
        command = [sys.executable, FOLDER / "backend.py"] if language == "python" else ["node", typescript]
        settings = settings_with(unit_seconds=1, price_per_minute=PRICE, webhook_allow_private=True)
        url = f"http://127.0.0.1:{free_ports(1)}/voiceplane"
        async with serving(settings) as server, aiohttp.ClientSession() as http:
            admin = Api(http, server.base, server.token("root", "admin"))
            webhook = await admin.request("POST", "/admin/webhooks", {"url": url})
            yield Shop(server, admin, command, tmp_path / "inbox", url, webhook, webhook["secret"], http)
            assert await server.ledger.audit() == ()

    return make


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The back end in TypeScript, checked and compiled by its own settings, outside of the checkout."""
    folder = tmp_path_factory.mktemp("backend")
    for name in ("backend.ts", "tsconfig.json", *build.MANIFESTS):
        shutil.copy(FOLDER / name, folder)
    (folder / "node_modules").symlink_to(build.packages(lambda _: None, FOLDER, with_dev=True))
    done = subprocess.run(["npm", "run", "build"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "backend.js"


@both_languages
async def test_a_first_call_is_talked_charged_told_of_and_refunded(shop: Open, language: str):
    async with shop(language) as made, made.open() as program:
        await program.says(f"alice has {SOLD} points")
        await program.says("call order-1001 is open")
        lines = await talk(made, *(await made.tokens(program)))
        assert lines[0] == "connected: from now on it costs"
        assert f"charged {PRICE} points, {SOLD - PRICE} are left" in lines

        cost = int((await program.says("call order-1001 ended: manual, ")).split()[-2])
        assert cost >= PRICE
        await program.says(f"alice: +{cost} points, short call")
        billing = await made.admin.request("GET", "/calls/order-1001/billing")
        assert (billing["totalPoints"], billing["refundedPoints"]) == (cost, cost)
        assert await made.balance() == SOLD

        await made.delivered()
        before = len(program.said)
        again = {"from": iso(made.began), "to": iso(datetime.now(UTC))}
        path = f"/admin/webhooks/{made.webhook['webhookId']}"
        assert (await made.admin.request("POST", f"{path}/replay", again))["replayed"] >= 4
        await made.delivered()
        await made.admin.request("POST", f"{path}/test")
        await program.says("test received")
        assert len(program.said) == before + 1  # and nothing of what has come twice
        await program.interrupt()


async def talk(made: Shop, user_token: str, otomo_token: str) -> list[str]:
    return await run(
        "integration/talk.py", made.server.base, "order-1001", user_token, otomo_token, "--seconds", TALK_S
    )


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@both_languages
async def test_a_back_end_that_was_killed_goes_on_and_does_nothing_twice(shop: Open, language: str):
    async with shop(language) as made:
        async with made.open() as program:
            tokens = await made.tokens(program)
            os.kill(program.process.pid, signal.SIGKILL)
            await program.process.wait()
        await talk(made, *tokens)
        [(cost, ended)] = [
            (one["billedPoints"], one["state"]) for one in (await made.admin.request("GET", "/calls"))["calls"]
        ]
        assert (cost >= PRICE, ended) == (True, "ended")
        async with made.open() as program:
            assert await program.says("alice has") == f"alice has {SOLD} points"
            await made.tokens(program)
            await made.send_now()
            await program.says(f"alice: +{cost} points, short call")
            assert program.said.count(f"call order-1001 ended: manual, {cost} points") == 1
            await program.interrupt()
        assert await made.balance() == SOLD


@both_languages
async def test_a_node_that_has_no_time_is_asked_again_when_it_says(shop: Open, language: str):
    async with shop(language) as made:
        await made.admin.request("POST", "/admin/drain")
        async with made.open() as program:
            assert await program.says("no answer now") == "no answer now, again in 5 s"
            await made.admin.request("DELETE", "/admin/drain")
            await program.says("call order-1001 is open")
            await program.interrupt()


@both_languages
async def test_what_another_secret_has_signed_is_refused_and_secrets_change_without_a_loss(shop: Open, language: str):
    body = b'{"type":"webhook.test","timestamp":"2026-01-31T12:00:00.000Z","data":{}}'
    async with shop(language) as made:
        path = f"/admin/webhooks/{made.webhook['webhookId']}"
        async with made.open() as program:
            await made.tokens(program)
            assert await made.post(body, signing.new_secret(), "msg_forged") == 401
            async with made.posts.post(made.url, data=body) as answer:
                assert answer.status == 401
            assert await made.post(body, made.secret) == await made.post(body, made.secret) == 204
            await program.says("test received")
            new = (await made.admin.request("POST", f"{path}/rotate"))["secret"]
            await made.admin.request("POST", f"{path}/test")
            await program.says("test received")  # by the old secret, which signs, too
            await program.interrupt()
            assert program.said.count("test received") == 2
        made.secret = new
        async with made.open() as program:
            await made.admin.request("POST", f"{path}/test")
            await program.says("test received")
            await made.delivered()
            await program.interrupt()


@both_languages
async def test_somebody_elses_call_of_that_id_is_no_order_of_ours(shop: Open, language: str):
    async with shop(language) as made:
        await made.admin.open_call("order-1001", "bob", "hana")
        async with made.open() as program:
            async with asyncio.timeout(30):
                _, complaint = await program.process.communicate()
            assert program.process.returncode == 1
            assert b"INVALID_CALL_STATE" in complaint


@pytest.mark.parametrize(("language", "name"), [("python", "backend.py"), ("ts", "backend.ts")])
def test_the_document_shows_the_whole_program_and_nothing_else(language: str, name: str):
    shown = [line for kind, block in blocks(DOCUMENT) if kind == language for line in block.splitlines()]
    program = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in shown if line] == [line for line in program if line]


def test_the_python_programs_pass_mypy_strict(tmp_path):
    options = ["--strict", "--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={tmp_path}", "backend.py", "talk.py"],
        cwd=FOLDER,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
