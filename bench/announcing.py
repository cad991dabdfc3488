"""How exactly announcements are paced: tracks that play at once, each forwarded by a worker to a socket, where the
kernel stamps every packet. A packet is as late as it came behind the earliest one of its track, by its RTP timestamp.

Once on a loop that has nothing else to do, and once on one that is held up for 2 ms in every 10. Prints one JSON line
for each: lateness in ms, drift in ms between the first and the last tenth, and the node's CPU for each track. Ends with
an error where the p99 of the first is over 5 ms.
``python -m bench.announcing [--tracks 20] [--seconds 60]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import statistics
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from app.announcing.clip import FRAME_SAMPLES, Clip
from app.announcing.clips import Clips
from app.announcing.pacer import Pacer
from app.announcing.track import Track
from app.clock import now
from app.media.codecs import codecs_of
from app.media.opus import RATE
from app.media.party_objects import RoomLimits
from app.media.room import Room
from app.media.rooms import Rooms
from app.person import Parties
from worker_bridge import ListenInfo
from worker_bridge import native as native_workers
from worker_bridge.pool import Slot
from worker_bridge.worker import Worker

SO_TIMESTAMPNS = 35  # Linux, asm-generic/socket.h
CONTROL_BYTES = 64
P99_MS = 5.0
HELD_UP_S, EVERY_S = 0.002, 0.010

Arrival = tuple[int, int]
"""An RTP timestamp, and when it came, in ns."""


class Ear(asyncio.DatagramProtocol):
    """A socket that one track's packets come to."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def read(self) -> None:
        """Take what has come; the kernel knows when."""
        while True:
            try:
                packet, control, _, _ = self._socket.recvmsg(2048, CONTROL_BYTES)
            except BlockingIOError:
                return
            if packet[1] & 0x7F < 72 or packet[1] & 0x7F > 76:  # else RTCP (RFC 5761 §4)
                seconds, ns = struct.unpack("qq", control[0][2])
                self.arrivals.append((struct.unpack_from("!I", packet, 4)[0], seconds * 1_000_000_000 + ns))

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def rooms(worker: Worker) -> AsyncIterator[Rooms]:
    server = await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")])
    yield Rooms(lambda: Slot(0, worker, server), codecs_of({"audio"}), RoomLimits(1, 1), {})


async def forwarded(room: Room, ear: Ear) -> None:
    """Have the worker send what is offered in a room to a socket."""
    transport = await room.router.create_plain_transport(ListenInfo("udp", "127.0.0.1"), rtcp_mux=True)
    await transport.connect(ip="127.0.0.1", port=ear.port)
    for producer_id in room.offers:
        await transport.consume(producer_id, room.router.rtp_capabilities)


async def hold_up() -> None:
    while True:
        until = time.perf_counter() + HELD_UP_S
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(EVERY_S - HELD_UP_S)


async def measured(made: Rooms, clip: Clip, tracks: int, seconds: float, *, busy: bool) -> dict[str, object]:
    pacer, ears, playing = Pacer(), [Ear() for _ in range(tracks)], []
    opened = [await made.open(f"call-{at}", Parties.of("user", "otomo"), 1) for at in range(tracks)]
    for room, ear in zip(opened, ears, strict=True):
        track = await Track.open(room, "music", ("user",), pacer)
        await forwarded(room, ear)
        playing.append(asyncio.create_task(track.play(clip, again=True), name=f"{room} plays"))
    hindrance = asyncio.create_task(hold_up(), name="something else") if busy else None
    cpu, began = cpu_s(), now().monotonic
    while now().monotonic - began < seconds:
        await asyncio.sleep(0.2)
        for ear in ears:
            ear.read()
    used = cpu_s() - cpu
    if hindrance is not None:
        hindrance.cancel()
    for room in opened:
        room.close()
    await asyncio.gather(*playing)
    for ear in ears:
        ear.read()
        ear.close()
    late = [lateness_ms(ear.arrivals) for ear in ears]
    every = sorted(value for one in late for value in one)
    return {
        "tracks": tracks,
        "seconds": seconds,
        "loop": "held up" if busy else "free",
        "packets": len(every),
        "missing": round(tracks * seconds * 50) - len(every),
        "late_ms": {
            "p50": at(every, 0.5),
            "p99": at(every, 0.99),
            "p999": at(every, 0.999),
            "max": round(every[-1], 2),
        },
        "drift_ms": round(max(abs(drift_ms(one)) for one in late), 2),
        "node_cpu_percent_per_track": None if busy else round(100 * used / seconds / tracks, 3),
    }


def lateness_ms(arrivals: list[Arrival]) -> list[float]:
    first = arrivals[0][0]
    offsets = [came - (timestamp - first) % 2**32 * 1_000_000_000 / RATE for timestamp, came in arrivals]
    return [(offset - min(offsets)) / 1e6 for offset in offsets]


def missing(arrivals: list[Arrival]) -> int:
    return (arrivals[-1][0] - arrivals[0][0]) % 2**32 // FRAME_SAMPLES + 1 - len(arrivals)


def drift_ms(late: list[float]) -> float:
    tenth = len(late) // 10
    return statistics.median(late[-tenth:]) - statistics.median(late[:tenth])


def at(values: list[float], share: float) -> float:
    return round(values[int(share * (len(values) - 1))], 2)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(tracks: int, seconds: float) -> int:
    clip = await Clips(None).get("hold")
    async with Worker.running(native_workers.locate()) as worker, rooms(worker) as made:
        free = await measured(made, clip, tracks, seconds, busy=False)
        print(json.dumps(free), flush=True)
        print(json.dumps(await measured(made, clip, tracks, seconds, busy=True)), flush=True)
    late = free["late_ms"]
    return int(isinstance(late, dict) and late["p99"] > P99_MS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raise SystemExit(runner.run(main(given.tracks, given.seconds)))
