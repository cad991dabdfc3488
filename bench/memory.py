"""What calls hold in the control plane's memory, as one JSON line: ``python -m bench.memory``.

Opens complete two-party calls over HTTP (16 requests each), measures, ends them all, measures again, and does so
several times over: what a call holds, and whether memory comes back. RSS and Python's own count (tracemalloc) are taken
of two separate servers, because counting costs memory. The server is a process of its own, so that the clients are in
neither number; ``python -m bench.memory serve`` is that process.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import signal
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from app.access.tokens import issue_token
from app.http.server import run_async, serve
from app.settings import Settings
from bench.parse_bodies import rtp_parameters
from bench.servers import ROOT, SECRET, free_port

CALLS = 200
CYCLES = 6
WARM_UP = 20  # calls that fill the caches before anything is measured
AT_ONCE = 8  # calls that are set up at the same time
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FINGERPRINT = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
DTLS = {"role": "client", "fingerprints": [FINGERPRINT]}

Json = dict[str, Any]


def main() -> int:
    """Print the report, or be the measured server."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description="Measure memory per call.")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("what", nargs="?", choices=["serve", "serve-traced"])
    args = parser.parse_args()
    if args.what is not None:
        return run_async(measured_server(traced=args.what == "serve-traced"))
    report = asyncio.run(measure(args.calls, args.cycles))
    sys.stdout.write(json.dumps({"bench": "memory", "calls": args.calls, **report}) + "\n")
    return 0


async def measure(calls: int, cycles: int) -> Json:
    report: Json = {}
    for name, what in (("rss", "serve"), ("traced", "serve-traced")):
        async with server(what) as node:
            await cycle(node, WARM_UP)
            fresh = await node.bytes_held()
            rounds = [await cycle(node, calls) for _ in range(cycles)]
        report[name] = summary(fresh, rounds, calls)
    return report


def summary(fresh: int, rounds: list[tuple[int, int]], calls: int) -> Json:
    """``fresh``: bytes before the first call; ``rounds``: while the calls live, and after their end.

    What a call takes is seen in the first round: later ones find memory that Python keeps for them.
    """
    (during, _), *_ = rounds
    return {
        "kibPerCall": round((during - fresh) / calls / 1024, 1),
        "freshKib": fresh // 1024,
        "keptKib": [(after - fresh) // 1024 for _, after in rounds],
        "highestKib": [(during - fresh) // 1024 for during, _ in rounds],
    }


class Node:
    """The measured server as its clients see it."""

    def __init__(self, process: asyncio.subprocess.Process, http: aiohttp.ClientSession, settings: Settings) -> None:
        self.numbers = itertools.count()  # of calls: the ledger takes no id twice
        self._process = process
        self._http = http
        self._headers = {
            user: {"Authorization": f"Bearer {issue_token(settings, user, role, 3600)}"}
            for user, role in (("admin", "admin"), ("user", "user"), ("otomo", "otomo"))
        }

    async def ask(self, who: str, method: str, path: str, body: Json | None = None) -> Json:
        async with self._http.request(method, path, json=body, headers=self._headers[who]) as response:
            response.raise_for_status()
            answer: Json = await response.json()
            return answer

    async def bytes_held(self) -> int:
        """Of the server, after it has collected its garbage."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"measure\n")
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def server(what: str) -> AsyncIterator[Node]:
    with tempfile.TemporaryDirectory(prefix="voiceplane-bench-") as folder:
        port = free_port()
        settings = Settings(
            data_dir=Path(folder), port=port, rtc_port=free_port(), workers=1, rate_limit=0, jwt_secret=SECRET
        )
        environment = {
            **os.environ,
            "JWT_SECRET": SECRET,
            "VOICEPLANE_DATA_DIR": folder,
            "VOICEPLANE_PORT": str(settings.port),
            "VOICEPLANE_RTC_PORT": str(settings.rtc_port),
            "VOICEPLANE_RTC_LISTEN_IP": "127.0.0.1",
            "VOICEPLANE_WORKERS": "1",
            "VOICEPLANE_RATE_LIMIT": "0",
            "VOICEPLANE_STRESS_LIMIT": "0",
            "VOICEPLANE_DRAIN_TIMEOUT_S": "0",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.memory", what),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        base = (await process.stdout.readline()).decode().strip()
        try:
            async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http:
                yield Node(process, http, settings)
        finally:
            process.terminate()
            await process.wait()


async def cycle(node: Node, calls: int) -> tuple[int, int]:
    """Open calls, measure, end them, measure."""
    numbers = [next(node.numbers) for _ in range(calls)]
    waiting = iter(numbers)

    async def opener() -> None:
        for number in waiting:
            await open_call(node, number)

    await asyncio.gather(*(opener() for _ in range(AT_ONCE)))
    during = await node.bytes_held()
    for number in numbers:
        await node.ask("user", "DELETE", f"/rtc/rooms/{call_id(number)}/cleanup")
    return during, await node.bytes_held()


def call_id(number: int) -> str:
    return f"bench_{number}"


async def open_call(node: Node, number: int) -> None:
    """All that two parties ask of a call before media flows."""
    call = {"callId": call_id(number)}
    parties = ("user", "otomo")
    await node.ask("admin", "POST", "/admin/calls", call | {"userId": "user", "otomoId": "otomo"})
    transports, producers = {}, {}
    for who in parties:
        for direction in ("send", "recv"):
            made = await node.ask(who, "POST", "/rtc/transports", call | {"direction": direction})
            transport = transports[who, direction] = made["transportId"]
            await node.ask(who, "POST", f"/rtc/transports/{transport}/connect", {"dtlsParameters": DTLS})
    for who in parties:
        body = {"transportId": transports[who, "send"], "kind": "audio", "rtpParameters": microphone(number)}
        producers[who] = (await node.ask(who, "POST", "/rtc/producers", call | body))["producerId"]
    for who, other in (parties, parties[::-1]):
        body = {"transportId": transports[who, "recv"], "producerId": producers[other]}
        consumer = (await node.ask(who, "POST", "/rtc/consumers", call | body))["consumerId"]
        await node.ask(who, "POST", f"/rtc/consumers/{consumer}/resume")


def microphone(number: int) -> Json:
    """Two browsers of one version differ in numbers and names, but not in codecs."""
    return rtp_parameters(number) | {"codecs": rtp_parameters(0)["codecs"]}


async def measured_server(*, traced: bool) -> int:
    """Serve as always; print the URL, and at every line on stdin how many bytes are held."""
    from app.application import create_app

    settings = Settings.from_env()
    loop = asyncio.get_running_loop()
    if traced:
        tracemalloc.start()

    def measure_now() -> None:
        if not os.read(sys.stdin.fileno(), 1024):  # whoever measured is gone
            os.kill(os.getpid(), signal.SIGTERM)
            loop.remove_reader(sys.stdin.fileno())
            return
        gc.collect()
        sys.stdout.write(f"{tracemalloc.get_traced_memory()[0] if traced else resident_bytes()}\n")
        sys.stdout.flush()

    def started(url: str) -> None:
        loop.add_reader(sys.stdin.fileno(), measure_now)
        sys.stdout.write(url + "\n")
        sys.stdout.flush()

    try:
        return await serve(create_app(settings), settings, started)
    finally:
        loop.remove_reader(sys.stdin.fileno())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    sys.exit(main())
