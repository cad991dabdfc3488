"""A client that sends what no client should, and the checks that whatever it is answered is one of our answers."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from tests.schemas.sample_bodies import EVERY_RTP_FIELD, SHA_256

Json = dict[str, Any]

PATIENT: dict[str, Any] = {
    "rate_limit": 0.0,
    "call_attempts_per_minute": 0,
    "call_attempts_per_pair": 0,
    "setup_timeout_s": 600.0,
}
"""Settings of a node that lets itself be attacked for as long as it takes."""

STATUS_OF = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "INSUFFICIENT_POINTS": 402,
    "FORBIDDEN": 403,
    "ROOM_NOT_FOUND": 404,
    "TRANSPORT_NOT_FOUND": 404,
    "PRODUCER_NOT_FOUND": 404,
    "CONSUMER_NOT_FOUND": 404,
    "CALL_NOT_FOUND": 404,
    "OTOMO_NOT_FOUND": 404,
    "WALLET_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "ALREADY_CONNECTED": 409,
    "ALREADY_RESUMED": 409,
    "PRODUCER_ALREADY_EXISTS": 409,
    "TRANSPORT_LIMIT_EXCEEDED": 409,
    "CANNOT_CONSUME": 409,
    "INVALID_CALL_STATE": 409,
    "OTOMO_OFFLINE": 409,
    "OTOMO_BUSY": 409,
    "CALLER_BUSY": 409,
    "IDEMPOTENCY_KEY_REUSED": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "UPGRADE_REQUIRED": 426,
    "RATE_LIMITED": 429,
}
"""Every refusal that a client can deserve. 500 and 503 are none of them."""

# One Opus encoding with every field that a client can set, of which none is more than a router takes.
GOOD_AUDIO: Json = {**EVERY_RTP_FIELD, "codecs": EVERY_RTP_FIELD["codecs"][:1]}
GOOD_DTLS: Json = {"role": "client", "fingerprints": [{"algorithm": "sha-256", "value": SHA_256}]}


@dataclass(frozen=True)
class Answer:
    """One answer, already known to be of the contract's form."""

    asked: str
    status: int
    headers: CIMultiDictProxy[str]
    body: Json

    @property
    def code(self) -> str:
        """The error code, or "" where nothing was refused."""
        return str(self.body.get("error", ""))

    @property
    def paths(self) -> list[str]:
        return [detail["path"] for detail in self.body.get("details", ())]

    def __str__(self) -> str:
        return f"{self.asked[:300]} -> {self.status} {self.body}"

    def done(self, status: int = 200) -> Json:
        assert self.status == status, self
        return self.body

    def refused(self, code: str, *paths: str) -> Answer:
        """It was refused with this code, and the first details name these paths."""
        assert self.code == code, self
        assert not paths or self.paths[: len(paths)] == list(paths), self
        return self


def checked(answer: Answer) -> Answer:
    """Fail on what no client may ever be answered, whatever it sent."""
    if answer.status < 400:
        assert answer.status in (200, 201), answer
        assert "error" not in answer.body, answer
        return answer
    assert STATUS_OF.get(answer.code) == answer.status, answer
    assert isinstance(answer.body["message"], str), answer
    assert not answer.body["message"].isascii(), f"no Japanese: {answer}"
    if answer.status == 400:
        assert set(answer.body) <= {"error", "message", "details"}, answer
        for detail in answer.body.get("details", ()):
            assert set(detail) == {"path", "problem"}, answer
            assert isinstance(detail["path"], str), answer
            assert detail["problem"].isascii(), answer
            assert len(detail["path"]) <= 200, answer
    else:
        assert set(answer.body) == {"error", "message"}, answer
    if answer.status in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0, answer
    return answer


@dataclass(frozen=True)
class Attacker:
    """A client with a good token and no manners."""

    http: aiohttp.ClientSession
    base: str
    headers: dict[str, str]

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send JSON, or whatever bytes ``body`` is; ``path`` goes out exactly as it is spelled.

        ``headers`` are added, with ``_`` for ``-``; by default the body says that it is JSON.
        """
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is not None:
            told = {"Content-Type": "application/json", **told}
        response = await self.http.request(
            method,
            URL(self.base + path, encoded=True),
            data=raw,
            headers=self.headers | told,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        )
        async with response:
            text = await response.read()
            shown = raw[:200] if raw else b""
            asked = f"{method} {path} {shown!r}"
            assert response.content_type == "application/json", (asked, response.status, text[:200])
            return checked(Answer(asked, response.status, response.headers, msgspec.json.decode(text)))

    async def transport(self, call_id: str, direction: str) -> str:
        answer = await self("POST", "/rtc/transports", {"callId": call_id, "direction": direction})
        return str(answer.done(201)["transportId"])

    async def connect(self, transport_id: str, dtls: Any = GOOD_DTLS) -> Answer:
        return await self("POST", f"/rtc/transports/{transport_id}/connect", {"dtlsParameters": dtls})

    async def produce(self, call_id: str, transport_id: str, rtp: Any = GOOD_AUDIO, kind: str = "audio") -> Answer:
        body = {"callId": call_id, "transportId": transport_id, "kind": kind, "rtpParameters": rtp}
        return await self("POST", "/rtc/producers", body)

    async def consume(self, call_id: str, transport_id: str, producer_id: str, capabilities: Any = None) -> Answer:
        body = {"callId": call_id, "transportId": transport_id, "producerId": producer_id}
        return await self("POST", "/rtc/consumers", body | ({"rtpCapabilities": capabilities} if capabilities else {}))


@dataclass(frozen=True)
class Victim:
    """A call in ``matched`` and everybody who may try something on it; ``stranger`` is in another call."""

    call_id: str
    user: Attacker
    otomo: Attacker
    stranger: Attacker
    admin: Attacker


@dataclass(frozen=True)
class Media:
    """A set-up of both parties, by ids: the user sends, the otomo receives it."""

    sender: str
    receiver: str
    producer: str
    consumer: str


@dataclass(frozen=True)
class Scene:
    """A node under attack."""

    server: Any
    http: aiohttp.ClientSession

    def attacker(self, user_id: str, role: str) -> Attacker:
        return Attacker(self.http, self.server.base, self.server.headers(user_id, role))

    async def victim(self) -> Victim:
        mark = secrets.token_hex(4)
        user_id, otomo_id, call_id = f"user-{mark}", f"otomo-{mark}", f"call-{mark}"
        admin = self.attacker("root", "admin")
        body = {"userId": user_id, "otomoId": otomo_id, "callId": call_id, "pricePerMinute": 0}
        (await admin("POST", "/admin/calls", body)).done(201)
        stranger = self.attacker(f"stranger-{mark}", "user")
        return Victim(call_id, self.attacker(user_id, "user"), self.attacker(otomo_id, "otomo"), stranger, admin)

    async def set_up(self, victim: Victim) -> Media:
        """What two decent clients do, up to the consumer."""
        sender = await victim.user.transport(victim.call_id, "send")
        receiver = await victim.otomo.transport(victim.call_id, "recv")
        producer = (await victim.user.produce(victim.call_id, sender)).done(201)["producerId"]
        consumer = (await victim.otomo.consume(victim.call_id, receiver, producer)).done(201)["consumerId"]
        return Media(sender, receiver, producer, consumer)

    async def still_serves(self) -> None:
        """Two new parties get through everything, and leave."""
        victim = await self.victim()
        media = await self.set_up(victim)
        (await victim.user.connect(media.sender)).done()
        (await victim.otomo.connect(media.receiver)).done()
        (await victim.otomo("POST", f"/rtc/consumers/{media.consumer}/resume")).done()
        cleaned = (await victim.user("DELETE", f"/rtc/rooms/{victim.call_id}/cleanup")).done()
        assert cleaned["released"] == {"transports": 2, "producers": 1, "consumers": 1}

    async def disagreement(self) -> str:
        """Where rooms, their index and the worker disagree on what there is; "" where they don't."""
        registry = self.server.registry
        rooms = [call.room for call in registry if call.room is not None]
        index: dict[str, Any] = {}
        for room in rooms:
            dump = await room.router.dump()
            in_worker = {
                "transports": dump["transport_ids"],
                "producers": list(dump["map_producer_id_consumer_ids"]),
                "consumers": list(dump["map_consumer_id_producer_id"]),
            }
            for kind, ids in in_worker.items():
                if sorted(ids) != sorted(getattr(room, kind)):
                    return f"{room!r} holds {kind} {list(getattr(room, kind))}, the worker {ids}"
                index |= dict.fromkeys(ids, room)
        if index != registry.rooms_by_object:
            return f"the index has {set(registry.rooms_by_object) ^ set(index)} too many or too few"
        routers = (await self.server.worker_dump())["router_ids"]
        if sorted(routers) != sorted(room.router.id for room in rooms):
            return f"the worker has routers {routers} for {len(rooms)} rooms"
        return ""
