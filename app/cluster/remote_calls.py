"""Commands of a socket for calls that live on another node: done there, on behalf of whom the socket is."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from urllib.parse import quote

from msgspec import UNSET

from app.access.tokens import Claims
from app.calls.service import CallService
from app.cluster.forwarder import Answered, Forwarder
from app.errors import Answer, LivesElsewhere, RefusedElsewhere
from app.signaling.commands import CallView
from schemas.base import encode, parse
from schemas.call import CallAck, CallRequest, ReasonBody
from schemas.error import ErrorBody

DONE = (200, 201)
JSON_BODY = {"Content-Type": "application/json"}


class RemoteCalls:
    """As ``CallService``, for calls wherever they live. New calls live where they were asked for."""

    def __init__(self, calls: CallService, forwarder: Forwarder) -> None:
        self._calls = calls
        self._forwarder = forwarder

    async def request_call(
        self, claims: Claims, otomo_id: str, call_id: str | None, metadata: Mapping[str, str] | None
    ) -> CallView:
        try:
            return await self._calls.request_call(claims, otomo_id, call_id, metadata)
        except LivesElsewhere as error:  # the same was asked for before, at that node
            body = encode(CallRequest(otomo_id, UNSET if call_id is None else call_id))
            return view_of(await self._forwarder.forward(error, "POST", "/calls", body, JSON_BODY, claims.person))

    async def accept(self, claims: Claims, call_id: str) -> CallView:
        return await self._do(self._calls.accept(claims, call_id), "accept", claims, call_id)

    async def reject(self, claims: Claims, call_id: str, reason: str | None) -> CallView:
        return await self._do(self._calls.reject(claims, call_id, reason), "reject", claims, call_id, reason)

    async def cancel(self, claims: Claims, call_id: str, reason: str | None) -> CallView:
        return await self._do(self._calls.cancel(claims, call_id, reason), "cancel", claims, call_id, reason)

    async def end(self, claims: Claims, call_id: str, reason: str | None) -> CallView:
        return await self._do(self._calls.end(claims, call_id, reason), "end", claims, call_id, reason)

    async def _do(
        self, here: Awaitable[CallView], word: str, claims: Claims, call_id: str, reason: str | None = None
    ) -> CallView:
        try:
            return await here
        except LivesElsewhere as error:
            body = encode(ReasonBody(UNSET if reason is None else reason))
            target = f"/calls/{quote(call_id, safe='')}/{word}"
            return view_of(await self._forwarder.forward(error, "POST", target, body, JSON_BODY, claims.person))


def view_of(answered: Answered) -> CallAck:
    """The call as its node has it. Raises RefusedElsewhere where that has refused."""
    if answered.status in DONE:
        return parse(CallAck, answered.body)
    refused = parse(ErrorBody, answered.body)
    raise RefusedElsewhere(Answer(refused.error, answered.status, refused.message, tuple(answered.headers.items())))
