"""What one client can take of a node that others use: ``python -m bench.greedy [--root FOLDER]``.

Three clients, each against a fresh server, which is watched from outside: its resident memory, its CPU, and how long
somebody else waits for an answer meanwhile.

* *pipelining*: one connection without a token asks on and on and reads nothing;
* *replay*: one user, of whom 20,000 events are stored, opens 100 sockets with ``?since=0`` and reads nothing;
* *flapping*: one otomo opens and closes sockets as fast as it is let, with 1,500 users online who do read.

``--root`` measures another tree, an older one for instance.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import selectors
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from app.access.tokens import issue_token
from app.settings import Settings
from bench.servers import ROOT, SECRET, Server, voiceplane

Json = dict[str, Any]

POLL_EVERY_S = 0.25
STORED_EVENTS = 20_000
SOCKETS = 100
USERS_ONLINE = 1500
MIB = 1 << 20
PIPELINED = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
STATUS_BYTES = 123  # of an `otomo_status` on the wire, about


class Watch:
    """The server from outside, from :meth:`begin` on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.begin()

    def begin(self) -> None:
        self._before = self._most = self._resident()
        self._cpu, self._at, self._slowest_s = self.server.cpu_seconds(), time.monotonic(), 0.0

    async def run(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                async with http.get(f"{self.server.base}/health/live") as answer:
                    await answer.read()
                self._slowest_s = max(self._slowest_s, time.monotonic() - began)
                self._most = max(self._most, self._resident())
                await asyncio.sleep(POLL_EVERY_S)

    def report(self) -> Json:
        took = time.monotonic() - self._at
        return {
            "beforeMiB": self._before // MIB,
            "growthMiB": (self._most - self._before) // MIB,
            "cpuPercent": round(100 * (self.server.cpu_seconds() - self._cpu) / took),
            "slowestAnswerMs": round(1000 * self._slowest_s),
        }

    def _resident(self) -> int:
        pages = Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()


async def pipelining(watch: Watch, seconds: float) -> Json:
    """One connection that sends as much as is taken. How many requests that were."""
    loop, sent = asyncio.get_running_loop(), 0
    with connected(watch.server) as client, suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while True:
                await loop.sock_sendall(client, PIPELINED)
                sent += PIPELINED.count(b"\r\n\r\n")
    return {"requestsTaken": sent}


async def replay(watch: Watch, seconds: float) -> Json:
    """Ten at a time, as fast as a user may have them. How many were let in."""
    await store_events(watch.server, "deaf")
    watch.begin()
    with ExitStack() as opened:
        statuses = []
        for _ in range(SOCKETS):
            client = opened.enter_context(connected(watch.server, receive_buffer=4096))
            statuses.append(await upgraded(client, token("deaf", "user"), "/ws?since=0"))
        await asyncio.sleep(seconds)
    return {"opened": statuses.count(101), "refused": statuses.count(429)}


async def flapping(watch: Watch, seconds: float) -> Json:
    """One otomo against an audience that reads. How often it came, and what each user was sent."""
    with ExitStack() as opened, Audience() as audience:
        for number in range(USERS_ONLINE):
            client = opened.enter_context(connected(watch.server))
            await upgraded(client, token(f"user-{number}", "user"), "/ws")
            audience.seat(client)
        watch.begin()
        audience.bytes = came = 0
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            with connected(watch.server) as otomo:
                came += await upgraded(otomo, token("flapper", "otomo"), "/ws") == 101
        heard = audience.bytes / STATUS_BYTES / seconds
    return {"cameEachSecond": round(came / seconds, 1), "messagesEachSecond": round(heard)}


CLIENTS: dict[str, Callable[[Watch, float], Awaitable[Json]]] = {
    "pipelining": pipelining,
    "replay": replay,
    "flapping": flapping,
}


class Audience:
    """Sockets that are read by a thread of its own, and counted in bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, name="audience")

    def __enter__(self) -> Audience:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._reader.join()
        self._selector.close()

    def seat(self, client: socket.socket) -> None:
        self._selector.register(client, selectors.EVENT_READ)

    def _read(self) -> None:
        while not self._over.wait(0.02):
            for key, _ in self._selector.select(0):
                with suppress(OSError):
                    self.bytes += len(key.fileobj.recv(1 << 18))  # type: ignore[union-attr]


@contextmanager
def connected(server: Server, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    port = int(server.base.rpartition(":")[2])
    with socket.socket() as client:
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        yield client


async def upgraded(client: socket.socket, bearer: str, path: str) -> int:
    """Ask for a WebSocket, and read what is answered. Its status."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {bearer}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    )
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, "\r\n".join((*lines, "", "")).encode())
    return int((await loop.sock_recv(client, 64)).split()[1])


async def store_events(server: Server, user_id: str) -> None:
    """Adjust a wallet so often: each time is an event."""
    headers = {"Authorization": f"Bearer {token('root', 'admin')}"}
    url = f"{server.base}/admin/wallets/{user_id}/adjust"

    async def adjust(http: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {"amount": 1, "reason": "bench", "idempotencyKey": str(number)}
            async with http.post(url, json=body, headers=headers) as answer:
                answer.raise_for_status()

    numbers = iter(range(STORED_EVENTS))
    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(adjust(http, numbers) for _ in range(64)))


def token(user_id: str, role: str) -> str:
    return issue_token(Settings(jwt_secret=SECRET), user_id, role, 3600)


async def measured(name: str, server: Server, seconds: float) -> Json:
    watch = Watch(server)
    watching = asyncio.create_task(watch.run())
    try:
        told = await CLIENTS[name](watch, seconds)
        return told | watch.report()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.greedy", description="What one client can take.")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=15.0, help="that each client has")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    return parser.parse_args()


def main() -> int:
    """Print one line of JSON."""
    args = arguments()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * USERS_ONLINE)), hard))
    report: Json = {"bench": "greedy"}
    for name in args.clients:
        with voiceplane(root=args.root, rate_limit="50") as server:
            report[name] = asyncio.run(measured(name, server, args.seconds))
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
