"""Random mutations of the three bodies that reach the native worker, as many as fit into a few seconds."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.media import party_objects
from tests.hostile.attacker import GOOD_AUDIO, GOOD_DTLS, PATIENT, Answer, Json, Media, Scene, Victim
from tests.hostile.test_hostile_media import H264, RTX, VIDEO, VP8
from tests.schemas.sample_bodies import CAPABILITIES, CHROME_SIMULCAST, opus
from tests.schemas.wrong_bodies import Path, at, places

EXAMPLES = 250
NAMES = (
    "mid", "apt", "ssrc", "rid", "rtx", "codecs", "encodings", "parameters", "mimeType", "payloadType", "channels",
    "profile-level-id", "packetization-mode", "level-asymmetry-allowed", "usedtx", "scalabilityMode", "\ufeff",
)  # fmt: skip
MODES = ("L1T1", "L3T3_KEY", "S2T2", "L9T9", "L1T1" + "x" * 16, "")

numbers = st.integers() | st.sampled_from((0, 1, 96, 97, 127, 128, 1111, 2**31, 2**32 - 1, 2**32)) | st.floats(width=64)
texts = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    (*NAMES, *MODES, "video/red", "audio/opus", "video/rtx", "42e01f", "640c1f")
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
"""Values as JSON carries them, and NaN, infinities and lone surrogates, which it doesn't."""

audio = st.sampled_from((GOOD_AUDIO, GOOD_AUDIO | {"encodings": [{}]}, GOOD_AUDIO | {"codecs": [opus(0), opus(1)]}))
video = st.sampled_from((VIDEO, CHROME_SIMULCAST, VIDEO | {"codecs": [H264]}, VIDEO | {"codecs": [VP8, RTX, H264]}))


@st.composite
def mutated(draw: st.DrawFn, good: st.SearchStrategy[Json]) -> Json:
    """A good value after one to four changes: replaced, taken out, doubled, or put elsewhere."""
    value = copy.deepcopy(draw(good))
    for _ in range(draw(st.integers(1, 4))):
        there = sorted(places(value), key=str)
        if not there:
            break
        path: Path = draw(st.sampled_from(there))
        parent, key = at(value, path[:-1]), path[-1]
        match draw(st.sampled_from(("replace", "remove", "double", "move", "extend"))):
            case "replace":
                parent[key] = draw(values)
            case "remove":
                del parent[key]
            case "double" if isinstance(parent, list):
                parent.insert(int(key), copy.deepcopy(parent[int(key)]))
            case "move":
                other: Path = draw(st.sampled_from(there))
                if other[: len(path)] != path and path[: len(other)] != other:
                    parent[key] = copy.deepcopy(at(value, other))
            case "extend" if isinstance(parent[key], dict):
                parent[key][draw(texts)] = draw(values)
    return value


@pytest.fixture
def node_settings() -> dict[str, Any]:
    return PATIENT | {
        "media_kinds": frozenset({"audio", "video"}),
        "max_producers_per_party": 10_000,
        "max_transports_per_direction": 16,
    }


@pytest.fixture(autouse=True)
def no_haste_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of transports are made in a moment, one after the other."""
    monkeypatch.setattr(party_objects, "WITHIN_S", 0.0)


async def fuzz(body: st.SearchStrategy[Any], attack: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Hypothesis has a thread, and the attack this loop."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body)
    def attacks(value: Any) -> None:
        asyncio.run_coroutine_threadsafe(attack(value), loop).result(30)

    await asyncio.to_thread(attacks)


def fitting(answer: Answer, *codes: str) -> bool:
    """Whether it was done; else it was refused with one of the codes."""
    assert answer.code in ("", *codes), answer
    return not answer.code


async def test_whatever_is_produced_can_be_consumed_or_was_refused(scene: Scene, victim: Victim) -> None:
    taken = 0

    async def attack(parameters: Json) -> None:
        nonlocal taken
        kind = "video" if "video" in str(parameters)[:400] else "audio"
        sender = await victim.user.transport(victim.call_id, "send")
        receiver = await victim.otomo.transport(victim.call_id, "recv")
        answer = await victim.user.produce(victim.call_id, sender, parameters, kind)
        if fitting(answer, "BAD_REQUEST"):
            taken += 1
            producer = answer.body["producerId"]
            fitting(await victim.otomo.consume(victim.call_id, receiver, producer), "CANNOT_CONSUME")
            again = GOOD_AUDIO | {"encodings": [{"ssrc": 99}], "mid": "another"}
            fitting(await victim.user.produce(victim.call_id, sender, again), "BAD_REQUEST")
        assert await scene.disagreement() == ""
        for one, transport in ((victim.user, sender), (victim.otomo, receiver)):
            (await one("DELETE", f"/rtc/transports/{transport}")).done()

    await fuzz(mutated(audio | video), attack)
    assert taken, "none got as far as the worker"


async def test_whatever_capabilities_ask_for_a_consumer(victim: Victim, media: Media) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    simulcast = (await victim.user.produce(victim.call_id, sender, VIDEO | {"mid": "s"}, "video")).done(201)[
        "producerId"
    ]
    vp8 = {"kind": "video", "mimeType": "video/VP8", "clockRate": 90000, "preferredPayloadType": 101}
    rtx = vp8 | {"mimeType": "video/rtx", "preferredPayloadType": 102, "parameters": {"apt": 101}}
    wanted = CAPABILITIES | {"codecs": [*CAPABILITIES["codecs"], vp8, rtx]}

    async def attack(capabilities: Json) -> None:
        for producer in (media.producer, simulcast):
            answer = await victim.otomo.consume(victim.call_id, media.receiver, producer, capabilities)
            fitting(answer, "BAD_REQUEST", "CANNOT_CONSUME")

    await fuzz(mutated(st.just(wanted)), attack)


async def test_whatever_dtls_parameters_connect(victim: Victim) -> None:
    async def attack(dtls: Json) -> None:
        transport = await victim.user.transport(victim.call_id, "send")
        fitting(await victim.user.connect(transport, dtls), "BAD_REQUEST")
        (await victim.user("DELETE", f"/rtc/transports/{transport}")).done()

    digits = st.text("0123456789abcdefABCDEF:", max_size=200)
    prints = st.builds(lambda value: GOOD_DTLS | {"fingerprints": [{"algorithm": "sha-1", "value": value}]}, digits)
    await fuzz(mutated(st.just(GOOD_DTLS) | prints), attack)


async def test_whatever_stands_in_any_body(victim: Victim, media: Media) -> None:
    async def attack(body: Any) -> None:
        for path in ("/rtc/transports", "/rtc/producers", "/rtc/consumers", f"/rtc/transports/{media.sender}/connect"):
            (await victim.user("POST", path, body)).refused("BAD_REQUEST")
        for path in ("/admin/calls", "/admin/wallets/x/adjust"):
            (await victim.admin("POST", path, body)).refused("BAD_REQUEST")

    await fuzz(st.binary(max_size=200) | values, attack)
