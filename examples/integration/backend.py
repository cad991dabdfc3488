"""A back end that uses voiceplane: it sells points, opens a call, hears what became of it, and gives points back.

    python backend.py alice hana 1001

does so for the order 1001, in which alice has paid to talk to hana; the same command again does nothing twice. It is
explained piece by piece in docs/integration.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from jose import jwt
from standardwebhooks import Webhook, WebhookVerificationError

VOICE_URL = os.environ["VOICE_URL"]
JWT_SECRET = os.environ["JWT_SECRET"]  # the nodes have the same
WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]  # whsec_...
PORT = int(os.environ.get("PORT", "8000"))
INBOX = os.environ.get("INBOX", "inbox.sqlite")

say = partial(print, flush=True)


def token(role: Literal["user", "otomo", "admin"], person: str, seconds: int = 3600) -> str:
    """Proves who asks: given to that person's page, or used here as an admin's."""
    now = int(time.time())
    claims = {"sub": person, "role": role, "iat": now, "exp": now + seconds}
    return str(jwt.encode(claims, JWT_SECRET, algorithm="HS256"))


TRIES = 10
AGAIN = {429, 502, 503, 504}  # not now; 502 and 504 are what a balancer says while a node goes


class Refused(Exception):
    """No, and asking again would not help. Programs go by ``code``."""

    def __init__(self, code: str, details: object) -> None:
        super().__init__(f"{code} {details or ''}".strip())
        self.code = code


class Unavailable(Exception):
    """No answer came, however often it was asked for. What was asked for may have been done."""


async def ask(http: ClientSession, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to a request, sent until there is one: everything that is asked for here may arrive twice."""
    for _ in range(TRIES):
        wait_s = 1
        try:
            headers = {"Authorization": f"Bearer {token('admin', 'backend', seconds=60)}"}
            async with http.request(method, VOICE_URL + path, json=body, headers=headers) as answer:
                if answer.status not in AGAIN:
                    content = await answer.json()
                    if answer.status >= 400:
                        raise Refused(content["error"], content.get("details"))
                    return content
                wait_s = int(answer.headers.get("Retry-After", wait_s))
        except (ClientError, TimeoutError):
            pass  # a lost answer is no refusal
        say(f"no answer now, again in {wait_s} s")
        await asyncio.sleep(wait_s)
    raise Unavailable


async def sell(http: ClientSession, user: str, points: int, payment: str) -> int:
    """Points for a payment: once, however often this is called with it. Returns the balance."""
    sold = {"amount": points, "reason": "purchase", "idempotencyKey": f"payment-{payment}"}
    wallet = await ask(http, "POST", f"/admin/wallets/{quote(user, safe='')}/adjust", sold)
    return int(wallet["balance"])


async def open_call(http: ClientSession, call_id: str, user: str, otomo: str) -> None:
    """The two have been matched: from now on they have 30 seconds to come."""
    matched = {"callId": call_id, "userId": user, "otomoId": otomo, "metadata": {"soldBy": "backend.py"}}
    try:
        await ask(http, "POST", "/admin/calls", matched)
    except Refused as refused:
        if refused.code != "INVALID_CALL_STATE":
            raise
        call = await ask(http, "GET", f"/calls/{call_id}")  # there is one already: ours, if an answer was lost
        if (call["userId"], call["otomoId"]) != (user, otomo):
            raise


class Inbox:
    """The webhooks that came, each once by its id, and which of them were acted upon."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path)
        self._arrived = asyncio.Event()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS webhooks"
            " (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, done INTEGER NOT NULL)"
        )

    def put(self, webhook_id: str, body: str) -> None:
        with self._database:  # a commit, after which it may be answered
            self._database.execute(
                "INSERT INTO webhooks (id, body, done) VALUES (?, ?, 0) ON CONFLICT DO NOTHING", (webhook_id, body)
            )
        self._arrived.set()

    async def first(self) -> tuple[int, dict[str, Any]]:
        """The oldest that is not done, as soon as there is one."""
        while True:
            found = self._database.execute(
                "SELECT number, body FROM webhooks WHERE done = 0 ORDER BY number"
            ).fetchone()
            if found is not None:
                return found[0], json.loads(found[1])
            self._arrived.clear()
            await self._arrived.wait()

    def done(self, number: int) -> None:
        with self._database:
            self._database.execute("UPDATE webhooks SET done = 1 WHERE number = ?", (number,))

    def close(self) -> None:
        self._database.close()


inbox_key = web.AppKey("inbox", Inbox)


async def receive(request: web.Request) -> web.Response:
    """A webhook: verified, kept, and answered at once."""
    body = await request.read()  # as it came: what is parsed and written anew has another signature
    try:
        Webhook(WEBHOOK_SECRET).verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError):
        return web.Response(status=401)
    request.app[inbox_key].put(request.headers["webhook-id"], body.decode())
    return web.Response(status=204)


async def refund(http: ClientSession, call_id: str, points: int, reason: str) -> None:
    """Give back what a call cost, or part of it: once for each call."""
    back = {"points": points, "reason": reason, "idempotencyKey": f"refund-{call_id}"}
    await ask(http, "POST", f"/admin/calls/{call_id}/refund", back)


SHORT_S = 60  # who hangs up sooner gets the points back


async def act(http: ClientSession, type_: str, told: dict[str, Any]) -> None:
    """Do what a webhook calls for. Twice, where the process dies in between: so all of it may be done twice."""
    match type_:
        case "call.ended":
            say(f"call {told['callId']} ended: {told['endReason']}, {told['billedPoints']} points")
            if told["billedPoints"] > 0 and told["durationSeconds"] < SHORT_S:
                await refund(http, told["callId"], told["billedPoints"], "short call")
        case "wallet.adjusted":
            say(f"{told['userId']}: {told['amount']:+} points, {told['reason']}")
        case "webhook.test":
            say("test received")
        case _:
            pass  # nothing to do, or a type that is younger than this program


async def work(http: ClientSession, inbox: Inbox) -> None:
    """Act upon webhooks, one after the other, in the order in which they came."""
    while True:
        number, message = await inbox.first()
        try:
            await act(http, message["type"], message["data"])
        except Unavailable:
            continue  # nothing is lost: the same one again
        except Refused as refused:
            say(f"{message['type']} could not be acted upon: {refused}")  # for a person to look at
        inbox.done(number)


async def main(user: str, otomo: str, order: str) -> None:
    inbox = Inbox(INBOX)
    app = web.Application(client_max_size=16 * 1024 * 1024)  # call.ended of a long call is longer than the usual 1 MiB
    app[inbox_key] = inbox
    app.router.add_post("/voiceplane", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", PORT).start()
        async with ClientSession(timeout=ClientTimeout(total=10)) as http, asyncio.TaskGroup() as tasks:
            tasks.create_task(work(http, inbox))
            say(f"{user} has {await sell(http, user, 500, order)} points")
            await open_call(http, f"order-{order}", user, otomo)
            say(f"call order-{order} is open")
            say(f"for the page of {user}: {token('user', user)}")
            say(f"for the page of {otomo}: {token('otomo', otomo)}")
    finally:
        await runner.cleanup()
        inbox.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
