"""Whom the watch asks for packets while a call's parties still connect."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.conftest import eventually

OPUS = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
SWEEPS = 2
LATE_S = 10.0


async def test_only_a_paused_producer_is_asked_before_the_first_packet(server: Any, call: Any) -> None:
    """The worker tells by itself of the first packet of any other one."""
    asked: Counter[str] = Counter()

    def observe(method: str, _outcome: str) -> Any:
        return lambda _seconds: asked.update([method.upper()])

    for party, ssrc in ((call.user, 1), (call.otomo, 2)):
        transport = (await party.create_transport(call.call_id, "send")).transport_id
        parameters = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": ssrc}]}
        producer_id = await party.produce(call.call_id, transport, "audio", parameters)
    await call.otomo.pause_producer(producer_id)
    server.pool.slots[0].worker.channel.observe(observe)
    await eventually(lambda: asked["TRANSPORT_GET_STATS"] < SWEEPS and f"asked: {asked}", LATE_S)
    assert asked["PRODUCER_GET_STATS"] == asked["TRANSPORT_GET_STATS"]
    await call.user.cleanup(call.call_id)
