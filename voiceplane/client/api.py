"""A typed client of the REST interface, for one person. Knows bodies and errors, nothing of WebRTC."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from schemas.own_media import Direction
from voiceplane.client.backoff import Backoff
from voiceplane.client.errors import BadAnswer, ClientError, Refused, Unreachable
from voiceplane.client.events import CallRecord, ListedProducer, read
from voiceplane.client.tokens import Token, Tokens
from worker_bridge.rtp import MediaKind

REQUEST_TIMEOUT_S = 10.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 2.0
Wire = dict[str, Any]  # a JSON object as it travels, camelCase


@dataclass(frozen=True, slots=True)
class TransportAnswer:
    """RTC-02's answer; the dicts are mediasoup-client's own shapes."""

    transport_id: str
    ice_parameters: Wire
    ice_candidates: list[Wire]
    dtls_parameters: Wire
    ice_servers: list[Wire]
    media_epoch: int = 1


@dataclass(frozen=True, slots=True)
class ConsumerAnswer:
    """RTC-05's answer. The consumer is paused until RTC-06."""

    consumer_id: str
    producer_id: str
    kind: MediaKind
    rtp_parameters: Wire
    producer_paused: bool


@dataclass(frozen=True, slots=True)
class Released:
    """RTC-07's answer: how many objects the cleanup closed."""

    transports: int
    producers: int
    consumers: int


class Api:
    """The endpoints, called as one person. Every method raises ClientError's subclasses, and nothing of aiohttp's."""

    def __init__(self, http: aiohttp.ClientSession, base: str, token: Token | Tokens) -> None:
        self.http = http
        self.base = base.rstrip("/")
        self.tokens = token if isinstance(token, Tokens) else Tokens(token)

    async def request(self, method: str, path: str, body: Wire | None = None) -> Wire:
        """Send one request and return the JSON object of a 2xx answer. Where the token is refused, try once with
        another one.

        Raises Unreachable where there is no connection, or no answer within `REQUEST_TIMEOUT_S`.
        Raises Refused where an error body came back.
        Raises BadAnswer where the answer is not the contract's JSON.
        """
        token = await self.tokens.get()
        try:
            return await self._once(method, path, body, token)
        except Refused as error:
            if error.status != 401:
                raise
            self.tokens.forget(token)
            if (another := await self.tokens.get()) == token:
                raise
        return await self._once(method, path, body, another)

    async def patiently(self, method: str, path: str, body: Wire | None = None, *, for_s: float) -> Wire:
        """Like `request`, but try again while no answer comes or the server is busy: for requests that are safe to
        repeat.

        Raises ClientError as `request`, once `for_s` seconds are over.
        """
        loop = asyncio.get_running_loop()
        until, backoff = loop.time() + for_s, Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        while True:
            try:
                return await self.request(method, path, body)
            except ClientError as error:
                wait_s = backoff.next()
                if isinstance(error, Refused) and error.retry_after_s is not None:
                    wait_s = error.retry_after_s
                if not error.is_transient or loop.time() + wait_s > until:
                    raise
            await asyncio.sleep(wait_s)

    async def _once(self, method: str, path: str, body: Wire | None, token: str) -> Wire:
        name = f"{method} {path}"
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {token}"}
        status = 0
        bare = {"Content-Type"} if body is None else ()  # without a body aiohttp would declare octets, which is a 415
        try:
            async with self.http.request(
                method, self.base + path, json=body, headers=headers, timeout=timeout, skip_auto_headers=bare
            ) as response:
                status, raw = response.status, await response.read()
                answer = await response.json(content_type=None) if raw else None
                retry_after_s = seconds(response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(self.base, error) from error
        except ValueError as error:
            raise BadAnswer(name, status, "the body is not JSON") from error
        if not isinstance(answer, dict):
            raise BadAnswer(name, status, "the body is not a JSON object")
        if 200 <= status < 300:
            return answer
        if not isinstance(answer.get("error"), str):
            raise BadAnswer(name, status, "its body names no error")
        raise Refused(name, status, answer["error"], answer, retry_after_s)

    async def call(self, call_id: str) -> CallRecord:
        """One call, as one of its parties."""
        path = f"/calls/{call_id}"
        return read(CallRecord, await self.request("GET", path), f"GET {path}")

    async def producers(self, call_id: str) -> list[ListedProducer]:
        """The producers of both parties in a call's room."""
        path = f"/rtc/rooms/{call_id}/producers"
        answer = await self.request("GET", path)
        return [read(ListedProducer, one, f"GET {path}") for one in answer.get("producers", ())]

    async def open_call(self, call_id: str, user_id: str, otomo_id: str, price_per_minute: int | None = None) -> str:
        """Admins only: make a call that starts in `matched`, and return its id."""
        body: Wire = {"callId": call_id, "userId": user_id, "otomoId": otomo_id}
        if price_per_minute is not None:
            body["pricePerMinute"] = price_per_minute
        return _text(await self.request("POST", "/admin/calls", body), "callId")

    async def capabilities(self) -> Wire:
        """RTC-01: the router's `rtpCapabilities`."""
        return _object(await self.request("GET", "/rtc/capabilities"), "rtpCapabilities")

    async def create_transport(self, call_id: str, direction: Direction) -> TransportAnswer:
        """RTC-02."""
        answer = await self.request("POST", "/rtc/transports", {"callId": call_id, "direction": direction})
        return TransportAnswer(
            transport_id=_text(answer, "transportId"),
            ice_parameters=_object(answer, "iceParameters"),
            ice_candidates=list(answer.get("iceCandidates", ())),
            dtls_parameters=_object(answer, "dtlsParameters"),
            ice_servers=list(answer.get("iceServers", ())),
            media_epoch=int(answer.get("mediaEpoch", 1)),
        )

    async def connect_transport(self, transport_id: str, dtls_parameters: Wire) -> None:
        """RTC-03."""
        await self.request("POST", f"/rtc/transports/{transport_id}/connect", {"dtlsParameters": dtls_parameters})

    async def produce(self, call_id: str, transport_id: str, kind: str, rtp_parameters: Wire) -> str:
        """RTC-04: the new producer's id."""
        body = {"callId": call_id, "transportId": transport_id, "kind": kind, "rtpParameters": rtp_parameters}
        return _text(await self.request("POST", "/rtc/producers", body), "producerId")

    async def consume(
        self, call_id: str, transport_id: str, producer_id: str, rtp_capabilities: Wire | None = None
    ) -> ConsumerAnswer:
        """RTC-05."""
        body: Wire = {"callId": call_id, "transportId": transport_id, "producerId": producer_id}
        if rtp_capabilities is not None:
            body["rtpCapabilities"] = rtp_capabilities
        answer = await self.request("POST", "/rtc/consumers", body)
        return ConsumerAnswer(
            consumer_id=_text(answer, "consumerId"),
            producer_id=_text(answer, "producerId"),
            kind="video" if answer.get("kind") == "video" else "audio",
            rtp_parameters=_object(answer, "rtpParameters"),
            producer_paused=bool(answer.get("producerPaused")),
        )

    async def resume_consumer(self, consumer_id: str) -> None:
        """RTC-06."""
        await self.request("POST", f"/rtc/consumers/{consumer_id}/resume")

    async def pause_producer(self, producer_id: str) -> None:
        """Mute at the server: the worker stops forwarding."""
        await self.request("POST", f"/rtc/producers/{producer_id}/pause")

    async def resume_producer(self, producer_id: str) -> None:
        """Unmute."""
        await self.request("POST", f"/rtc/producers/{producer_id}/resume")

    async def cleanup(self, call_id: str) -> Released:
        """RTC-07: close the room; during a live call this ends it."""
        released = _object(await self.request("DELETE", f"/rtc/rooms/{call_id}/cleanup"), "released")
        return Released(**{name: int(released.get(name, 0)) for name in Released.__slots__})


def seconds(retry_after: str | None) -> float | None:
    """A `Retry-After` header in seconds (RFC 9110 §10.2.3); None where there is none, or where it is a date."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _text(answer: Wire, key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise BadAnswer("the request", 200, f"it has no {key}")
    return value


def _object(answer: Wire, key: str) -> Wire:
    value = answer.get(key)
    if not isinstance(value, dict):
        raise BadAnswer("the request", 200, f"it has no {key}")
    return value
