"""From a client's message to its answer: read it, apply the rate limit, find and perform the command. Knows no socket.

Every message has exactly one answer; nothing that a client sends can raise or close anything here.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from app.access.ratelimit import RateLimiter
from app.access.tokens import Claims
from app.errors import INTERNAL_ERROR, BadRequest, CallLimitExceeded, RateLimited, answer_to
from app.signaling.commands import Command
from schemas.base import Body, encode, load, parse
from schemas.problem import InvalidBody, Problem
from schemas.signaling import CallCommand, Envelope, Failure, Reply, RequestId
from schemas.strict_json import decode_object

FLOOD_PAUSE_S = (
    0.001  # pause after each refusal by the rate limit: the rest of a flood waits in the client's own TCP buffer
)

Observer = Callable[[str, str, float], None]
"""Gets a message's command (empty where it names none that we have), ``OK`` or the code of its refusal, and seconds."""

T = TypeVar("T", bound=Body)
_log = logging.getLogger(__name__)


class Dispatcher:
    """Answers the messages of all sockets. A socket hands over one message at a time."""

    def __init__(self, commands: Mapping[str, Command], limiter: RateLimiter) -> None:
        self._commands = commands
        self._limiter = limiter
        self._observers: list[Observer] = []

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` after every answer; it must be quick and raise nothing."""
        self._observers.append(observer)

    async def answer(self, claims: Claims, message: str | bytes) -> bytes:
        """The answer to a text (str) or a binary (bytes) message. Raises nothing but CancelledError."""
        began = time.monotonic()
        try:
            command, reply = await self._perform(claims, message)
            code = "OK"
        except Exception as error:
            if isinstance(error, RateLimited):
                await asyncio.sleep(FLOOD_PAUSE_S)
            failure, request_id = refusal(claims, message, error)
            command, code = failure.context.get("type", ""), failure.code
            reply = Reply("error", failure, request_id)
        for observe in self._observers:
            observe(command if command in self._commands else "", code, time.monotonic() - began)
        return encode(reply)

    async def _perform(self, claims: Claims, message: str | bytes) -> tuple[str, Reply]:
        """The command's name, and its answer."""
        if not claims.is_admin:  # as in REST: 429 comes before 400
            self._limiter.admit(claims.person)
        if isinstance(message, bytes):
            raise BadRequest.at("", "must be a text message")
        envelope = parse(Envelope, message)
        command = self._commands.get(envelope.type)
        if command is None:
            raise BadRequest.at("type", "is not a known command")
        try:
            payload = load(command.payload, envelope.payload)
        except InvalidBody as error:
            raise BadRequest(map(in_payload, error.details)) from error
        return command.name, await command.perform(claims, payload, envelope.request_id)


def in_payload(problem: Problem) -> Problem:
    return Problem(f"payload.{problem.path}" if problem.path else "payload", problem.problem)


def refusal(claims: Claims, message: str | bytes, error: Exception) -> tuple[Failure, RequestId | UnsetType]:
    """The ``error`` message: code and text of the error table, what is known of the command as ``context``, and its
    ``requestId``."""
    answer = answer_to(error)
    heard = heard_of(message)
    context: dict[str, Any] = {name: heard[name] for name in ("type", "callId") if name in heard}
    if answer.details:
        context["details"] = [{"path": one.path, "problem": one.problem} for one in answer.details]
    if isinstance(error, RateLimited | CallLimitExceeded):
        context["retryAfterSeconds"] = error.retry_after_s
    if answer is INTERNAL_ERROR:
        context["errorId"] = uuid.uuid4().hex
        what = (heard.get("type"), claims.user_id)
        _log.error("the command %s of %s failed", *what, exc_info=error, extra={"error_id": context["errorId"]})
    return Failure(answer.code, answer.message, context), heard.get("requestId", UNSET)


def heard_of(message: str | bytes) -> dict[str, Any]:
    """What a refused message says of itself: its ``type``, ``callId`` and ``requestId``, each where it is valid."""
    try:
        said = decode_object(message) if isinstance(message, str) else {}
    except InvalidBody:
        return {}
    heard: dict[str, Any] = {}
    if envelope := attempt(Envelope, {"type": said.get("type")}):
        heard["type"] = envelope.type
    if numbered := attempt(Envelope, {"type": "any", "requestId": said.get("requestId")}):
        heard["requestId"] = numbered.request_id
    payload = said.get("payload")
    if isinstance(payload, dict) and (about := attempt(CallCommand, {"callId": payload.get("callId")})):
        heard["callId"] = about.call_id
    return heard


def attempt(kind: type[T], value: dict[str, Any]) -> T | None:
    try:
        return load(kind, value)
    except InvalidBody:
        return None
