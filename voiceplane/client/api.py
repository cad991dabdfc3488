"""A typed client of the REST interface, for one person. Knows bodies and errors, nothing of WebRTC."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import UNSET

from schemas.base import Body, encode
from schemas.call import AdminCallRequest
from schemas.consumer import ConsumeRequest
from schemas.own_media import Direction
from schemas.producer import ProduceRequest
from schemas.tariff import Tariff
from schemas.transport import ConnectTransportRequest, CreateTransportRequest
from voiceplane.client.backoff import Backoff
from voiceplane.client.errors import BadAnswer, ClientError, Refused, Unreachable
from voiceplane.client.events import CallRecord, ListedProducer, Wire, read
from voiceplane.client.tokens import Token, Tokens
from worker_bridge.connectivity import DtlsParameters
from worker_bridge.mediasoup_json import from_json
from worker_bridge.rtp import MediaKind, RtpCapabilities, RtpParameters

REQUEST_TIMEOUT_S = 10.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 2.0
Json = dict[str, Any]  # a JSON object
T = TypeVar("T")


class TransportAnswer(Wire, frozen=True, kw_only=True):
    """RTC-02's answer; the dicts are mediasoup-client's own shapes."""

    transport_id: str
    ice_parameters: Json
    ice_candidates: list[Json] = []  # noqa: RUF012 -- msgspec makes each its own
    dtls_parameters: Json
    ice_servers: list[Json] = []  # noqa: RUF012
    media_epoch: int = 1


class ConsumerAnswer(Wire, frozen=True, kw_only=True):
    """RTC-05's answer. The consumer is paused until RTC-06."""

    consumer_id: str
    producer_id: str
    kind: MediaKind
    rtp_parameters: Json
    producer_paused: bool = False


class Released(Wire, frozen=True):
    """RTC-07's answer: how many objects the cleanup closed."""

    transports: int = 0
    producers: int = 0
    consumers: int = 0


class Cleaned(Wire, frozen=True):
    released: Released


class Opened(Wire, frozen=True):
    call_id: str


class Produced(Wire, frozen=True):
    producer_id: str


class Producers(Wire, frozen=True):
    producers: list[ListedProducer] = []  # noqa: RUF012


class RouterAnswer(Wire, frozen=True):
    rtp_capabilities: Json


class Api:
    """The endpoints, called as one person. Every method raises ClientError's subclasses, and nothing of aiohttp's."""

    def __init__(self, http: aiohttp.ClientSession, base: str, token: Token | Tokens) -> None:
        self.http = http
        self.base = base.rstrip("/")
        self.tokens = token if isinstance(token, Tokens) else Tokens(token)

    async def request(self, method: str, path: str, body: Json | msgspec.Struct | None = None) -> Json:
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

    async def patiently(
        self, method: str, path: str, body: Json | msgspec.Struct | None = None, *, for_s: float
    ) -> Json:
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

    async def _once(self, method: str, path: str, body: Json | msgspec.Struct | None, token: str) -> Json:
        name = f"{method} {path}"
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {token}"}
        status = 0
        data = None if body is None else encode(body)
        headers |= {} if body is None else {"Content-Type": "application/json"}
        bare = {"Content-Type"} if body is None else ()  # without a body aiohttp would declare octets, which is a 415
        try:
            async with self.http.request(
                method, self.base + path, data=data, headers=headers, timeout=timeout, skip_auto_headers=bare
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
        return (await self._ask(Producers, "GET", f"/rtc/rooms/{call_id}/producers")).producers

    async def open_call(
        self,
        call_id: str,
        user_id: str,
        otomo_id: str,
        price_per_minute: int | None = None,
        tariff: Tariff | None = None,
    ) -> str:
        """Admins only: make a call that starts in `matched`, and return its id."""
        body = AdminCallRequest(
            user_id,
            otomo_id,
            call_id,
            UNSET if price_per_minute is None else price_per_minute,
            tariff=UNSET if tariff is None else tariff,
        )
        return (await self._ask(Opened, "POST", "/admin/calls", body)).call_id

    async def capabilities(self) -> Json:
        """RTC-01: the router's `rtpCapabilities`."""
        return (await self._ask(RouterAnswer, "GET", "/rtc/capabilities")).rtp_capabilities

    async def create_transport(self, call_id: str, direction: Direction) -> TransportAnswer:
        """RTC-02."""
        return await self._ask(TransportAnswer, "POST", "/rtc/transports", CreateTransportRequest(call_id, direction))

    async def connect_transport(self, transport_id: str, dtls_parameters: Json) -> None:
        """RTC-03."""
        body = ConnectTransportRequest(from_json(DtlsParameters, dtls_parameters))
        await self.request("POST", f"/rtc/transports/{transport_id}/connect", body)

    async def produce(self, call_id: str, transport_id: str, kind: MediaKind, rtp_parameters: Json) -> str:
        """RTC-04: the new producer's id."""
        body = ProduceRequest(call_id, transport_id, kind, from_json(RtpParameters, rtp_parameters))
        return (await self._ask(Produced, "POST", "/rtc/producers", body)).producer_id

    async def consume(
        self, call_id: str, transport_id: str, producer_id: str, rtp_capabilities: Json | None = None
    ) -> ConsumerAnswer:
        """RTC-05."""
        capabilities = UNSET if rtp_capabilities is None else from_json(RtpCapabilities, rtp_capabilities)
        body = ConsumeRequest(call_id, transport_id, producer_id, capabilities)
        return await self._ask(ConsumerAnswer, "POST", "/rtc/consumers", body)

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
        return (await self._ask(Cleaned, "DELETE", f"/rtc/rooms/{call_id}/cleanup")).released

    async def open_preflight(self) -> str:
        """A room in which this person hears nobody but themselves; its id is for RTC-02 to RTC-06."""
        return (await self._ask(Opened, "POST", "/rtc/preflights")).call_id

    async def close_preflight(self, call_id: str) -> None:
        """Close it before its time."""
        await self.request("DELETE", f"/rtc/preflights/{call_id}")

    async def _ask(self, kind: type[T], method: str, path: str, body: Body | None = None) -> T:
        return read(kind, await self.request(method, path, body), f"{method} {path}")


def seconds(retry_after: str | None) -> float | None:
    """A `Retry-After` header in seconds (RFC 9110 §10.2.3); None where there is none, or where it is a date."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
