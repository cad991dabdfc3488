"""RTP and DTLS parameters that crash, hang or confuse a native worker that is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.attacker import GOOD_AUDIO, GOOD_DTLS, PATIENT, Json, Scene, Victim
from tests.schemas.sample_bodies import CAPABILITIES, CHROME_SIMULCAST, SHA_256, extension, opus

VP8, RTX = CHROME_SIMULCAST["codecs"]
H264 = VP8 | {
    "mimeType": "video/H264",
    "payloadType": 102,
    "parameters": {"packetization-mode": 1, "profile-level-id": "42e01f", "level-asymmetry-allowed": 1},
}
VIDEO: Json = {**CHROME_SIMULCAST, "encodings": [{"ssrc": 7}], "codecs": [VP8, RTX]}
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def video_codec(name: str, payload_type: int, **changed: Any) -> Json:
    return {"mimeType": f"video/{name}", "payloadType": payload_type, "clockRate": 90000} | changed


@pytest.fixture
def node_settings() -> dict[str, Any]:
    return PATIENT | {"media_kinds": frozenset({"audio", "video"}), "max_producers_per_party": 100}


BAD_AUDIO: dict[str, Json] = {
    "a scalability mode without end": {"encodings": [{"ssrc": 1, "scalabilityMode": "L1T1" + "x" * 30_000}]},
    "a scalability mode of many digits": {"encodings": [{"ssrc": 1, "scalabilityMode": "L" + "9" * 30 + "T1"}]},
    "layers of audio": {"encodings": [{"ssrc": 1, "scalabilityMode": "L3T3"}]},
    "a layer of nothing": {"encodings": [{"ssrc": 1, "scalabilityMode": "L0T0"}]},
    "simulcast of audio": {"encodings": [{"ssrc": 1}, {"ssrc": 2}]},
    "an SSRC that is its own RTX": {"encodings": [{"ssrc": 1, "rtx": {"ssrc": 1}}]},
    "an SSRC of zero, and no MID": {"mid": None, "encodings": [{"ssrc": 0}]},
    "nothing to recognise packets by": {"mid": None, "encodings": [{}]},
    "no encodings, and no MID": {"mid": "", "encodings": []},
    "a MID too long for its header extension": {"mid": "語" * 100},
    "a CNAME too long for RTCP": {"rtcp": {"cname": "語" * 100}},
    "a RID too long for its header extension": {"encodings": [{"ssrc": 1, "rid": "語" * 100}]},
    "a NUL in a MID": {"mid": "a\0b"},
    "a NUL in a parameter": {"codecs": [opus(111, x="a\0b")]},
    "a NUL in a parameter's name": {"codecs": [opus(111, **{"a\0b": "x"})]},
    "a clock rate of zero": {"codecs": [opus(111) | {"clockRate": 0}]},
    "a clock rate of nobody": {"codecs": [opus(111) | {"clockRate": 4_294_967_295}]},
    "Opus in mono": {"codecs": [opus(111) | {"channels": 1}]},
    "255 channels": {"codecs": [opus(111) | {"channels": 255}]},
    "one payload type twice": {"codecs": [opus(111), opus(111)]},
    "a codec of nobody": {"codecs": [opus(111) | {"mimeType": "audio/nobodys"}]},
    "only DTMF": {"codecs": [opus(101) | {"mimeType": "audio/telephone-event"}]},
    "RTX without apt": {"codecs": [opus(111), opus(112) | {"mimeType": "audio/rtx"}]},
    "RTX of itself": {"codecs": [opus(111), opus(112, apt=112) | {"mimeType": "audio/rtx"}]},
    "a text as apt": {"codecs": [opus(111, apt="x")]},
    "video among audio": {"codecs": [opus(111), video_codec("VP8", 96)]},
    "an encoding of no codec": {"encodings": [{"ssrc": 1, "codecPayloadType": 96}]},
    "a header extension twice": {"headerExtensions": [extension(MID, 1), extension(MID, 2)]},
    "a header extension id twice": {"headerExtensions": [extension(MID, 1), extension(MID + ":x", 1)]},
    "a header extension of nobody": {"headerExtensions": [extension("urn:nobody", 1)]},
}

BAD_VIDEO: dict[str, Json] = {
    "RED without apt": {"codecs": [VP8, video_codec("red", 100)]},
    "ULPFEC without apt": {"codecs": [VP8, video_codec("ulpfec", 101)]},
    "RED and its RTX": {"codecs": [VP8, video_codec("red", 100), video_codec("rtx", 101, parameters={"apt": 100})]},
    "FlexFEC": {"codecs": [VP8, video_codec("flexfec-03", 101)]},
    "only RTX": {"codecs": [RTX]},
    "RTX without apt": {"codecs": [VP8, RTX | {"parameters": {}}]},
    "RTX of nothing": {"codecs": [VP8, RTX | {"parameters": {"apt": 99}}]},
    "RTX of RTX": {"codecs": [VP8, RTX, RTX | {"payloadType": 98, "parameters": {"apt": 97}}]},
    "RTX of another clock": {"codecs": [VP8, RTX | {"clockRate": 48000}]},
    "a clock rate of zero": {"codecs": [VP8 | {"clockRate": 0}]},
    "simulcast by one SSRC": {"encodings": [{"ssrc": 5}, {"ssrc": 5}]},
    "simulcast by one RID": {"encodings": [{"rid": "a"}, {"rid": "a"}]},
    "simulcast with an RTX of another": {"encodings": [{"ssrc": 5}, {"ssrc": 6, "rtx": {"ssrc": 5}}]},
    "simulcast by nothing": {"encodings": [{}, {}]},
    "sixteen encodings": {"encodings": [{"ssrc": number + 1} for number in range(16)]},
    "seventeen encodings": {"encodings": [{"ssrc": number + 1} for number in range(17)]},
    "99 layers": {"encodings": [{"ssrc": 5, "scalabilityMode": "L99T99"}]},
    "an H.264 profile of nobody": {"codecs": [H264 | {"parameters": {"profile-level-id": "zzzzzz"}}]},
    "an H.264 profile that is a number": {
        "codecs": [H264 | {"parameters": {"profile-level-id": 42, "packetization-mode": 1}}]
    },
    "an H.264 packetization of nobody": {"codecs": [H264 | {"parameters": {"packetization-mode": 1.5}}]},
    "audio": {"codecs": [opus(111)]},
}

BAD_DTLS: dict[str, Json] = {
    "no fingerprint": {"fingerprints": []},
    "too many fingerprints": {"fingerprints": GOOD_DTLS["fingerprints"] * 9},
    "an empty fingerprint": {"fingerprints": [{"algorithm": "sha-256", "value": ""}]},
    "a short fingerprint": {"fingerprints": [{"algorithm": "sha-256", "value": SHA_256[:-3]}]},
    "a fingerprint of another hash": {"fingerprints": [{"algorithm": "sha-512", "value": SHA_256}]},
    "a fingerprint without colons": {"fingerprints": [{"algorithm": "sha-256", "value": "AB" * 48}]},
    "a fingerprint in other digits": {"fingerprints": [{"algorithm": "sha-256", "value": SHA_256.replace("A", "Ａ")}]},
    "a fingerprint with a line feed": {"fingerprints": [{"algorithm": "sha-256", "value": SHA_256 + "\n"}]},
    "an endless fingerprint": {"fingerprints": [{"algorithm": "sha-256", "value": ":".join(["AB"] * 9000)}]},
    "a hash of nobody": {"fingerprints": [{"algorithm": "md5", "value": ":".join(["AB"] * 16)}]},
    "a hash in capitals": {"fingerprints": [{"algorithm": "SHA-256", "value": SHA_256}]},
    "a role of nobody": {"role": "actpass"},
    "a role in capitals": {"role": "CLIENT"},
}


async def test_bad_audio_is_refused_and_good_audio_still_taken(victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    for name, bad in BAD_AUDIO.items():
        answer = (await victim.user.produce(victim.call_id, sender, GOOD_AUDIO | bad)).refused("BAD_REQUEST")
        assert answer.paths, (name, answer)
        assert all(path.startswith("rtpParameters") for path in answer.paths), (name, answer)
    (await victim.user.produce(victim.call_id, sender)).done(201)


async def test_bad_video_is_refused_and_good_video_still_taken(victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    for name, bad in BAD_VIDEO.items():
        answer = (await victim.user.produce(victim.call_id, sender, VIDEO | bad, "video")).refused("BAD_REQUEST")
        assert answer.paths, (name, answer)
        assert all(path.startswith("rtpParameters") for path in answer.paths), (name, answer)
    (await victim.user.produce(victim.call_id, sender, VIDEO, "audio")).refused("BAD_REQUEST")
    (await victim.user.produce(victim.call_id, sender, GOOD_AUDIO, "video")).refused("BAD_REQUEST")
    (await victim.user.produce(victim.call_id, sender, VIDEO, "video")).done(201)


async def test_what_the_transport_knows_already_is_refused_and_the_room_stays_whole(victim: Victim) -> None:
    """Only the worker sees these: an SSRC, a MID or a RID that another producer of the transport has."""
    sender = await victim.user.transport(victim.call_id, "send")
    (await victim.user.produce(victim.call_id, sender)).done(201)
    taken = GOOD_AUDIO["encodings"][0]
    for encoding in ({"ssrc": taken["ssrc"]}, {"ssrc": taken["rtx"]["ssrc"]}, {"ssrc": 5, "rtx": {"ssrc": 1111}}):
        for mid in ("8", None):
            same = GOOD_AUDIO | {"mid": mid, "encodings": [encoding]}
            (await victim.user.produce(victim.call_id, sender, same)).refused("BAD_REQUEST", "rtpParameters")
    same_mid = GOOD_AUDIO | {"encodings": [{"ssrc": 77}]}
    (await victim.user.produce(victim.call_id, sender, same_mid)).refused("BAD_REQUEST", "rtpParameters")
    (await victim.user.produce(victim.call_id, sender, same_mid | {"mid": "8"})).done(201)


async def test_each_of_several_producers_can_be_retried_and_closed_for_itself(scene: Scene, victim: Victim) -> None:
    """Whatever their packets are recognised by: a MID, an SSRC or a RID."""
    sender = await victim.user.transport(victim.call_id, "send")
    bodies: tuple[Json, ...] = (
        {"mid": "1", "encodings": []},
        {"mid": "2", "encodings": [{}]},
        {"mid": None, "encodings": [{"ssrc": 1}]},
        {"mid": None, "encodings": [{"ssrc": 2}]},
        {"mid": None, "encodings": [{"rid": "a"}]},
        {"mid": None, "encodings": [{"rid": "b"}]},
    )
    produced = [await victim.user.produce(victim.call_id, sender, GOOD_AUDIO | body) for body in bodies]
    made = [answer.done(201)["producerId"] for answer in produced]
    assert len(set(made)) == len(bodies)
    for producer, body in zip(made, bodies, strict=True):
        again = await victim.user.produce(victim.call_id, sender, GOOD_AUDIO | body)
        assert again.done(201)["producerId"] == producer
        (await victim.user("DELETE", f"/rtc/producers/{producer}")).done()
    assert scene.server.registry.room(victim.call_id).producers == {}


async def test_whatever_video_is_taken_can_be_consumed_by_whatever_asks(scene: Scene, victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    receiver = await victim.otomo.transport(victim.call_id, "recv")
    red: Json = {"kind": "video", "mimeType": "video/red", "clockRate": 90000, "preferredPayloadType": 100}
    fec = red | {"mimeType": "video/ulpfec", "preferredPayloadType": 101}
    rtx = red | {"mimeType": "video/rtx", "preferredPayloadType": 102}
    vp8 = red | {"mimeType": "video/VP8", "preferredPayloadType": 103}
    lists: tuple[list[Json], ...] = (
        [], [red], [fec], [rtx], [vp8], [vp8, rtx], [vp8, rtx | {"parameters": {"apt": 103}}], [vp8, red, fec, rtx],
        [vp8 | {"parameters": {"apt": "x"}}], [vp8] * 128, [red | {"parameters": {"apt": 100}}, vp8],
    )  # fmt: skip
    simulcast = [{"rid": "a", "scalabilityMode": "L1T3"}, {"rid": "b", "maxBitrate": 0}]
    for mid, encodings in (("1", [{"ssrc": 5, "rtx": {"ssrc": 6}}]), ("2", simulcast), ("3", [{}]), ("4", [])):
        video = VIDEO | {"mid": mid, "encodings": encodings}
        producer = (await victim.user.produce(victim.call_id, sender, video, "video")).done(201)["producerId"]
        for codecs in lists:
            wanted = CAPABILITIES | {"codecs": codecs}
            answer = await victim.otomo.consume(victim.call_id, receiver, producer, wanted)
            assert answer.code in ("", "CANNOT_CONSUME"), answer
        (await victim.otomo.consume(victim.call_id, receiver, producer)).done(201)
    assert len(scene.server.registry.room(victim.call_id).consumers) == 4


async def test_bad_dtls_is_refused_and_leaves_the_transport_connectable(victim: Victim) -> None:
    for direction in ("send", "recv"):
        transport = await victim.user.transport(victim.call_id, direction)
        for name, bad in BAD_DTLS.items():
            answer = (await victim.user.connect(transport, GOOD_DTLS | bad)).refused("BAD_REQUEST")
            assert all(path.startswith("dtlsParameters") for path in answer.paths), (name, answer)
        (await victim.user.connect(transport)).done()
        (await victim.user.connect(transport)).refused("ALREADY_CONNECTED")


async def test_every_hash_and_role_that_is_offered_works(scene: Scene) -> None:
    for algorithm, octets in (("sha-1", 20), ("sha-224", 28), ("sha-256", 32), ("sha-384", 48), ("sha-512", 64)):
        victim = await scene.victim()
        for role, direction in (("client", "send"), ("server", "recv")):
            print_ = {"algorithm": algorithm, "value": ":".join(["0f"] * octets)}
            transport = await victim.user.transport(victim.call_id, direction)
            (await victim.user.connect(transport, {"role": role, "fingerprints": [print_, print_]})).done()
