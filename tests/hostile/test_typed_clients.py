"""Clients in typed languages: numbers with a point, and zero values for what they don't set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hostile.attacker import GOOD_AUDIO, Attacker, Json, Scene, Victim
from tests.hostile.test_hostile_socket import connected, heard

OPUS: Json = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
ZERO_VALUES: Json = {
    "mid": "",
    "msid": "",
    "codecs": [OPUS | {"parameters": {}, "rtcpFeedback": []}],
    "headerExtensions": [],
    "encodings": [{"ssrc": 1724105310, "rid": "", "scalabilityMode": "", "dtx": False, "rtx": None}],
    "rtcp": {"cname": "", "reducedSize": True},
}
ZERO_SSRC: Json = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": 0}]}
WITHOUT_ZEROS = {
    "zero values": (ZERO_VALUES, {"codecs": [OPUS], "encodings": [{"ssrc": 1724105310}]}),
    "zero ssrc": (ZERO_SSRC, {"mid": "0", "codecs": [OPUS], "encodings": [{}]}),
}


async def produce_spelled(who: Attacker, call_id: str, transport_id: str, rtp: str) -> str:
    head = json.dumps({"callId": call_id, "transportId": transport_id, "kind": "audio"})
    body = f'{head[:-1]}, "rtpParameters": {rtp}}}'.encode()
    return str((await who("POST", "/rtc/producers", body)).done(201)["producerId"])


def pointed(value: Any) -> str:
    """JSON whose whole numbers are all written with a point."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float))


async def test_a_producer_whose_numbers_have_points_is_the_one_without(victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    first = await produce_spelled(victim.user, victim.call_id, sender, pointed(GOOD_AUDIO))
    scientific = json.dumps(GOOD_AUDIO).replace("48000", "4.8e4")
    for spelled in (json.dumps(GOOD_AUDIO), scientific, pointed(GOOD_AUDIO)):
        assert await produce_spelled(victim.user, victim.call_id, sender, spelled) == first


@pytest.mark.parametrize(("zeros", "without"), WITHOUT_ZEROS.values(), ids=WITHOUT_ZEROS)
async def test_zero_values_produce_as_what_is_left_out_does(victim: Victim, zeros: Json, without: Json) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    first = await produce_spelled(victim.user, victim.call_id, sender, json.dumps(zeros))
    assert await produce_spelled(victim.user, victim.call_id, sender, json.dumps(without)) == first


async def test_an_ssrc_of_zero_alone_is_refused(victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    for rtp in (ZERO_SSRC | {"mid": ""}, ZERO_SSRC | {"mid": None}):
        (await victim.user.produce(victim.call_id, sender, rtp)).refused(
            "BAD_REQUEST", "rtpParameters.encodings.0.ssrc"
        )


async def test_points_and_prices_may_have_a_point(victim: Victim) -> None:
    adjust = b'{"amount": 500.0, "reason": "gift", "idempotencyKey": "gift-1"}'
    balance = (await victim.admin("POST", "/admin/wallets/typed/adjust", adjust)).done()["balance"]
    assert (balance, type(balance)) == (500, int)
    again = (await victim.admin("POST", "/admin/wallets/typed/adjust", adjust.replace(b"500.0", b"5e2"))).done()
    assert again["balance"] == 500
    rate = (await victim.admin("PUT", "/admin/rates/typed", b'{"pricePerMinute": 1.2E2}')).done()["pricePerMinute"]
    assert (rate, type(rate)) == (120, int)


async def test_a_command_may_be_numbered_with_a_point(scene: Scene) -> None:
    async with connected(scene) as socket:
        await socket.send_str('{"type":"ping","payload":{},"requestId":1.7e1}')
        assert await heard(socket) == {"type": "pong", "payload": {}, "requestId": 17}
        await socket.send_str('{"type":"call_end","payload":{"callId":"nobodys"},"requestId":18.0}')
        answer = await heard(socket)
        assert (answer["payload"]["code"], answer["requestId"]) == ("CALL_NOT_FOUND", 18)
