"""Every field of every body that the node reads, wrong in every way, on a node with a real worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from app.http.body import MAX_BODY_BYTES
from tests.hostile.attacker import GOOD_AUDIO, GOOD_DTLS, Answer, Attacker, Json, Media, Scene, Victim
from tests.schemas.sample_bodies import CAPABILITIES
from tests.schemas.wrong_bodies import (
    NO_OBJECTS,
    dotted,
    of_no_json,
    of_wrong_types,
    places,
    removed,
    replaced,
)


@dataclass(frozen=True)
class Target:
    """An endpoint that reads a body, with one that it would accept."""

    who: Attacker
    method: str
    path: str
    body: Json

    async def hit(self, body: Any) -> Answer:
        return await self.who(self.method, self.path, body)


def produce(victim: Victim, media: Media) -> Target:
    body = {"callId": victim.call_id, "transportId": media.sender, "kind": "audio", "rtpParameters": GOOD_AUDIO}
    return Target(victim.user, "POST", "/rtc/producers", body)


def consume(victim: Victim, media: Media) -> Target:
    body = {"callId": victim.call_id, "transportId": media.receiver, "producerId": media.producer}
    return Target(victim.otomo, "POST", "/rtc/consumers", body | {"rtpCapabilities": CAPABILITIES})


def connect(victim: Victim, media: Media) -> Target:
    body = {"callId": victim.call_id, "dtlsParameters": GOOD_DTLS}
    return Target(victim.user, "POST", f"/rtc/transports/{media.sender}/connect", body)


def create_transport(victim: Victim, _: Media) -> Target:
    return Target(victim.user, "POST", "/rtc/transports", {"callId": victim.call_id, "direction": "send"})


def call(victim: Victim, _: Media) -> Target:
    return Target(victim.stranger, "POST", "/calls", {"otomoId": "otomo_001", "callId": "u_wanted"})


def admin_call(victim: Victim, _: Media) -> Target:
    body = {"userId": "user_001", "otomoId": "otomo_001", "callId": victim.call_id, "pricePerMinute": 5}
    return Target(victim.admin, "POST", "/admin/calls", body)


def adjustment(victim: Victim, _: Media) -> Target:
    body = {"amount": 5, "reason": "refund", "idempotencyKey": "order-17"}
    return Target(victim.admin, "POST", "/admin/wallets/user_001/adjust", body)


def rate(victim: Victim, _: Media) -> Target:
    return Target(victim.admin, "PUT", "/admin/rates/otomo_001", {"pricePerMinute": 120})


def reason(action: str) -> Callable[[Victim, Media], Target]:
    def target(victim: Victim, _: Media) -> Target:
        return Target(victim.stranger, "POST", f"/calls/nobodys/{action}", {"reason": "bye"})

    return target


def admin_end(victim: Victim, _: Media) -> Target:
    return Target(victim.admin, "POST", "/admin/calls/nobodys/end", {"reason": "bye"})


TARGETS = {
    "produce": produce, "consume": consume, "connect": connect, "create_transport": create_transport, "call": call,
    "admin_call": admin_call, "adjustment": adjustment, "rate": rate, "reject": reason("reject"),
    "cancel": reason("cancel"), "end": reason("end"), "admin_end": admin_end,
}  # fmt: skip
EMPTY_IS_FINE = {"reject", "cancel", "end", "admin_end"}
JSON_TYPES = ("application/json", "Application/JSON; charset=UTF-8", 'application/json; charset="utf-8"')
OTHER_TYPES = (
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json",
    "application/json; charset=utf-16", "application/json; charset=shift_jis", "application/problem+json", "", ";;;",
    "application/json, text/plain", "\xff", "x" * 4000,
)  # fmt: skip
TAKEN_OR_GIVEN = (-1, 2**32)  # points that an admin may well adjust by
PROBLEM_AT = {
    "rtpParameters.codecs.0": "rtpParameters.codecs",  # without its only one a list is empty
    "rtpParameters.codecs.0.channels": "rtpParameters.codecs.0",  # the router's Opus is stereo
    "dtlsParameters.fingerprints.0": "dtlsParameters.fingerprints",
}


Targets = dict[str, Target]


@pytest.fixture
def targets(victim: Victim, media: Media) -> Targets:
    return {name: target(victim, media) for name, target in TARGETS.items()}


async def test_what_can_never_be_right_is_refused_where_it_stands(targets: Targets) -> None:
    for target in targets.values():
        for path, body in of_wrong_types(target.body):
            if body.get("amount") in TAKEN_OR_GIVEN:
                continue
            answer = (await target.hit(body)).refused("BAD_REQUEST")
            assert answer.paths, answer
            assert all(there.startswith(dotted(path)) for there in answer.paths), (path, answer)


async def test_missing_and_null_fields_are_refused_where_they_stand_or_count_as_not_given(targets: Targets) -> None:
    for target in targets.values():
        for path in places(target.body):
            for body in (removed(target.body, path), replaced(target.body, path, None)):
                answer = await target.hit(body)
                if answer.code == "BAD_REQUEST":
                    expected = PROBLEM_AT.get(dotted(path), dotted(path))
                    assert all(there.startswith(expected) for there in answer.paths), (path, answer)


async def test_what_is_no_json_is_refused_wherever_it_stands(targets: Targets) -> None:
    for target in targets.values():
        for raw in of_no_json(target.body):
            answer = (await target.hit(raw)).refused("BAD_REQUEST")
            assert len(answer.paths) == 1, answer


async def test_what_is_no_object_is_refused_as_a_whole(targets: Targets) -> None:
    for target in targets.values():
        for raw in NO_OBJECTS:
            (await target.hit(raw)).refused("BAD_REQUEST", "")


async def test_no_body_is_refused_unless_none_is_needed(targets: Targets) -> None:
    for name, target in targets.items():
        for body in (None, b""):
            answer = await target.hit(body)
            answer.refused("CALL_NOT_FOUND") if name in EMPTY_IS_FINE else answer.refused("BAD_REQUEST", "")


async def test_unknown_fields_are_refused_by_name(targets: Targets) -> None:
    for target in targets.values():
        for unknown in ("userId2", "__proto__", "a\0b", "x" * 10_000, ""):
            answer = (await target.hit(target.body | {unknown: {"deep": [1]}})).refused("BAD_REQUEST")
            assert answer.paths == [unknown[:200].replace("\0", "\N{REPLACEMENT CHARACTER}")], answer


async def test_a_body_of_64_kib_is_read_and_one_more_byte_is_not(targets: Targets) -> None:
    for target in targets.values():
        full = padded(target.body, MAX_BODY_BYTES)
        assert len(full) == MAX_BODY_BYTES
        assert (await target.hit(full)).code not in ("PAYLOAD_TOO_LARGE", "BAD_REQUEST")
        (await target.hit(full + b" ")).refused("PAYLOAD_TOO_LARGE")
        (await target.hit(b" " * 1_000_000)).refused("PAYLOAD_TOO_LARGE")


async def test_other_content_types_are_refused_before_the_body_is_read(targets: Targets) -> None:
    for target in targets.values():
        raw = msgspec.json.encode(target.body)
        for content_type in OTHER_TYPES:
            answer = await target.who(target.method, target.path, raw, Content_Type=content_type)
            answer.refused("UNSUPPORTED_MEDIA_TYPE")
        for encoding in ("gzip", "deflate", "br", "zstd", "nonsense"):
            answer = await target.who(target.method, target.path, raw, Content_Encoding=encoding)
            answer.refused("UNSUPPORTED_MEDIA_TYPE")
        for content_type in JSON_TYPES:
            answer = await target.who(target.method, target.path, b"{", Content_Type=content_type)
            answer.refused("BAD_REQUEST", "")


async def test_a_bad_body_is_refused_before_anything_is_looked_up(scene: Scene, targets: Targets) -> None:
    """Order of contract section 1: 400 comes before 404 and 403, whoever asks."""
    nobody = scene.attacker("nobody", "otomo")
    for target in targets.values():
        body = target.body | ({"callId": "nobodys"} if "callId" in target.body else {}) | {"unknown": 1}
        (await nobody(target.method, target.path, body)).refused("BAD_REQUEST", "unknown")


def padded(body: Json, length: int) -> bytes:
    raw = json.dumps(body)
    return (raw[:-1] + " " * (length - len(raw)) + "}").encode()
