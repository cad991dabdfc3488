"""How late calls that end by themselves are cut, and how late both parties are warned before, as JSON: from the moment
of talk at which each was due to the arrival of the event at a WebSocket client.

A whole node with its database and one worker. Both parties of each call send, through ICE, DTLS and SRTP; half of the
calls reach their longest duration, the others the end of their points. Run as ``python -m bench.endings [--calls 40]
[--at-once 4]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections import defaultdict
from datetime import datetime

import aiohttp

from bench.connect_latency import token
from bench.servers import voiceplane
from schemas.tariff import Tariff
from voiceplane.client import Api
from voiceplane.client.media import RoomMedia
from voiceplane.client.tone import Tone

ENDS_S = 4  # of talk
WARNED_S = (2, 1)  # before it
PATIENCE_S = 30.0
LONGEST = Tariff(unit_seconds=60, unit_points=0, max_seconds=ENDS_S)
BEGUN = Tariff(unit_seconds=ENDS_S / 2, unit_points=100, charge="started")
OVER = Tariff(unit_seconds=ENDS_S / 2, unit_points=100)
POINTS = 200  # two units

Late = dict[str, list[float]]


async def call(http: aiohttp.ClientSession, base: str, number: int, late: Late) -> None:
    """One call, from its opening to its end."""
    tariff = (LONGEST, BEGUN, LONGEST, OVER)[number % 4]
    name, user_id, otomo_id = f"call-{number}", f"user-{number}", f"otomo-{number}"
    admin = Api(http, base, token("root", "admin"))
    gift = {"amount": POINTS, "reason": "bench", "idempotencyKey": name}
    await admin.request("POST", f"/admin/wallets/{user_id}/adjust", gift)
    user, otomo = Api(http, base, token(user_id, "user")), Api(http, base, token(otomo_id, "otomo"))
    headers = {"Authorization": f"Bearer {token(user_id, 'user')}"}
    async with http.ws_connect(f"{base}/ws", headers=headers) as socket:
        ended = asyncio.create_task(listen(socket, late))
        await admin.open_call(name, user_id, otomo_id, tariff=tariff)
        async with RoomMedia.joined(user, name) as mine, RoomMedia.joined(otomo, name) as theirs:
            await asyncio.gather(mine.send(Tone(440.0)), theirs.send(Tone(660.0)))
            async with asyncio.timeout(PATIENCE_S):
                await ended


async def listen(socket: aiohttp.ClientWebSocketResponse, late: Late) -> None:
    """Until the call's end: by how many milliseconds each event came too late."""
    connected_ms = 0.0
    async for message in socket:
        event, came_ms = message.json(), time.time_ns() / 1e6
        match event["type"]:
            case "call_connected":
                connected_ms = datetime.fromisoformat(event["payload"]["connectedAt"]).timestamp() * 1000
            case "call_ending":
                due_ms = connected_ms + 1000 * (ENDS_S - event["payload"]["secondsLeft"])
                late["warning"].append(came_ms - due_ms)
            case "call_end":
                late[event["payload"]["reason"]].append(came_ms - connected_ms - 1000 * ENDS_S)
                return


async def measure(base: str, *, calls: int, at_once: int) -> Late:
    late: Late = defaultdict(list)
    numbers = list(range(calls))
    async with aiohttp.ClientSession() as http:

        async def caller() -> None:
            while numbers:
                await call(http, base, numbers.pop(), late)

        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(caller(), name=f"caller {number}")
    return late


def report(late: Late, at_once: int) -> dict[str, object]:
    def figures(some: list[float]) -> dict[str, float]:
        ordered = sorted(some)
        p99 = ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
        return {
            "events": len(ordered),
            "p50Ms": round(statistics.median(ordered), 1),
            "p99Ms": round(p99, 1),
            "maxMs": round(ordered[-1], 1),
        }

    return {
        "callsAtOnce": at_once,
        "late": {name: figures(some) for name, some in sorted(late.items())},
        "loadAverage": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=4)
    args = parser.parse_args()
    with voiceplane(ending_warnings_s=",".join(map(str, WARNED_S)), rate_limit="0") as server:
        late = asyncio.run(measure(server.base, calls=args.calls, at_once=args.at_once))
        print(json.dumps(report(late, args.at_once)))


if __name__ == "__main__":
    main()
