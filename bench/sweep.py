"""What one sweep over all talking calls costs the control plane: CPU time per sweep, and as a share of one core.

Real worker, real RTP streams: each party's producer receives packets before every sweep, and each hears the other. What
is judged in a sweep is judged here: who is gone, who is not heard, how well they hear each other.
Prints one JSON line per number of calls. ``python -m bench.sweep [--calls 100 500 1000 2000]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import time
from typing import cast

import uvloop

from app.calls.call import LiveCall
from app.clock import now
from app.http.server import calm_collector
from app.media.codecs import codecs_of
from app.media.party_objects import PartyConsumer, PartyProducer, PartyTransport
from app.media.quality import MEASURED_EVERY
from app.media.room import Room, RoomLimits
from app.person import OTHER
from app.tariffs import Terms
from app.watch.audio_faults import faults_of, is_fresh
from app.watch.liveness import silent_party
from app.watch.sweeper import SWEEP_EVERY_S, Sweeper
from worker_bridge import native
from worker_bridge.connectivity import ListenInfo
from worker_bridge.pool import Pool, PoolSettings, Slot
from worker_bridge.rtp import RtcpParameters, RtpCodecParameters, RtpEncodingParameters, RtpParameters
from worker_bridge.webrtc_transport import WebRtcTransport

SILENT_AFTER_S = 5.0
SWEEPS = 20
AT_ONCE = 50  # packets, which sockets' buffers hold
SETTLE_S = 0.01
PORT = 45900
OPUS = (RtpCodecParameters("audio/opus", 111, 48000, 2),)


def packet(ssrc: int, sequence: int) -> bytes:
    """One RTP packet with a few bytes of payload (RFC 3550 §5.1)."""
    header = bytes([0x80, 111]) + sequence.to_bytes(2, "big") + (sequence * 960).to_bytes(4, "big")
    return header + ssrc.to_bytes(4, "big") + b"voice"


class Arrived:
    """A plain transport, which has no handshake, as a room sees a WebRTC transport whose handshake is over."""

    closed, connected, dtls_state, ice_state, ice_selected_tuple = False, True, "connected", "completed", None


class Voices:
    """Who sends RTP: one stream for each party of each call."""

    def __init__(self, sender: socket.socket) -> None:
        self._sender = sender
        self._streams: list[tuple[int, int]] = []  # SSRC, port
        self._sequence = 0

    def join(self, ssrc: int, port: int) -> None:
        self._streams.append((ssrc, port))

    async def say(self) -> None:
        """Each sends one packet, and the worker has it."""
        self._sequence += 1
        for number, (ssrc, port) in enumerate(self._streams):
            self._sender.sendto(packet(ssrc, self._sequence), ("127.0.0.1", port))
            if number % AT_ONCE == 0:
                await asyncio.sleep(SETTLE_S)
        await asyncio.sleep(SETTLE_S)


async def talking_call(slot: Slot, number: int, voices: Voices) -> LiveCall:
    """A call whose two producers will receive RTP."""
    assert slot.worker is not None
    assert slot.webrtc_server is not None
    call = LiveCall(f"bench_{number}", f"user_{number}", f"otomo_{number}", Terms.by_unit(0), now())
    router = await slot.worker.create_router(codecs_of({"audio"}))
    room = Room(call.id, call.parties, router, slot.worker.channel, slot.webrtc_server, RoomLimits(1, 1), {})
    transport = await router.create_plain_transport(ListenInfo("udp", "127.0.0.1"), comedia=True)
    for index, party in enumerate(call.liveness):
        ssrc = number * 10 + index + 1
        encodings = (RtpEncodingParameters(ssrc=ssrc),)
        parameters = RtpParameters(OPUS, encodings=encodings, rtcp=RtcpParameters(party))
        producer = await transport.produce("audio", parameters)
        key = (transport.id, producer.kind, None, ssrc)
        room.producers[producer.id] = PartyProducer(producer, party, parameters, key, now().monotonic)
        listens = await transport.consume(producer.id, router.rtp_capabilities)
        consumer = PartyConsumer(listens, OTHER[party], router.rtp_capabilities, transport.id)
        room.consumers[listens.id] = consumer
        room.transports[transport.id] = PartyTransport(cast(WebRtcTransport, Arrived()), OTHER[party], "recv")
        voices.join(ssrc, transport.tuple.local_port)
    call.room, call.connected_at = room, now()
    for _ in range(number % MEASURED_EVERY):  # calls of one age would all be looked at in the same sweep
        call.quality.is_due()
    return call


async def measure(voices: Voices, calls: list[LiveCall]) -> dict[str, object]:
    sweeper = Sweeper()
    spent, took = [], []
    for _ in range(3):
        await voices.say()
        await sweeper.sweep(calls)
    for _ in range(SWEEPS):
        await voices.say()
        cpu, wall = time.process_time(), time.perf_counter()
        await sweeper.sweep(calls)
        present = now()
        for call in calls:
            silent_party(call, present.monotonic, SILENT_AFTER_S)
            call.flags.update(faults_of(call, present.monotonic), present)
        spent.append((time.process_time() - cpu) * 1000)
        took.append((time.perf_counter() - wall) * 1000)
    heard = sum(is_fresh(party.last_rtp, now().monotonic) for call in calls for party in call.liveness.values())
    median = statistics.median(spent)
    return {
        "bench": "sweep",
        "calls": len(calls),
        "producers": 2 * len(calls),
        "producersHeard": heard,
        "cpuMsPerSweep": round(median, 2),
        "cpuMsPerSweepMinMax": [round(min(spent), 2), round(max(spent), 2)],
        "wallMsPerSweep": round(statistics.median(took), 2),
        "percentOfOneCore": round(median / (SWEEP_EVERY_S * 10), 2),
    }


async def main(counts: list[int]) -> None:
    async with Pool.running(native.locate(), PoolSettings(workers=1, first_port=PORT)) as pool:
        calm_collector()  # as the server does: else it is what is measured from a thousand calls on
        calls: list[LiveCall] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            voices = Voices(sender)
            for count in sorted(counts):
                while len(calls) < count:
                    calls.append(await talking_call(pool.slots[0], len(calls), voices))
                print(json.dumps(await measure(voices, calls)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 500, 1000, 2000])
    uvloop.run(main(parser.parse_args().calls))
