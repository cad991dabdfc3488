"""From a client's message to its answer: read it, apply the rate limit, find and perform the command. Knows no socket.

Every message has exactly one answer; nothing that a client sends can raise or close anything here.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from app.access.ratelimit import RateLimiter
from app.access.tokens import Claims
from app.errors import INTERNAL_ERROR, BadRequest, CallLimitExceeded, RateLimited, answer_to
from app.signaling.commands import Command
from schemas.base import encode, given, load, parse
from schemas.problem import InvalidBody, Problem
from schemas.signaling import AboutCall, Envelope, Failure, FailureContext, RefusedMessage, Reply, RequestId
from schemas.types import Word

FLOOD_PAUSE_S = (
    0.001  # pause after each refusal by the rate limit: the rest of a flood waits in the client's own TCP buffer
)

Observer = Callable[[str, str, float], None]
"""Gets a message's command (empty where it names none that we have), ``OK`` or the code of its refusal, and seconds."""

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
            command, code = given(failure.context.type) or "", failure.code
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
    """The table's code and text, with whatever can be said of the command as ``context``; and the command's number."""
    answer = answer_to(error)
    heard = heard_of(message)
    about = attempt(AboutCall, heard.payload)
    context = FailureContext(
        type=attempt(Word, heard.type),
        call_id=about.call_id if about else UNSET,
        details=answer.details or UNSET,
        retry_after_seconds=error.retry_after_s if isinstance(error, RateLimited | CallLimitExceeded) else UNSET,
        error_id=uuid.uuid4().hex if answer is INTERNAL_ERROR else UNSET,
    )
    if answer is INTERNAL_ERROR:
        what = (given(context.type), claims.user_id)
        _log.error("%s of %s failed", *what, exc_info=error, extra={"error_id": context.error_id})
    return Failure(answer.code, answer.message, context), attempt(RequestId, heard.request_id)


def heard_of(message: str | bytes) -> RefusedMessage:
    try:
        return parse(RefusedMessage, message) if isinstance(message, str) else RefusedMessage()
    except InvalidBody:
        return RefusedMessage()


def attempt(kind: Any, value: Any) -> Any:
    """``value`` read as ``kind``, or UNSET where it is none."""
    try:
        return load(kind, value)
    except InvalidBody:
        return UNSET
