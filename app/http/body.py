"""Bodies: the decorator that hands a handler its checked body.

What a body must contain is the schema's business; here its bytes are read, and refused where there are too many or of
the wrong type.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from app.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from app.http.responses import JSON
from app.keys import RAW_BODY, SETTINGS
from schemas.base import Body, parse

MAX_BODY_BYTES = 64 * 1024

T = TypeVar("T", bound=Body)
_COMMON_TYPES = frozenset(
    {"application/json", JSON, "application/json;charset=utf-8", "application/json;charset=UTF-8"}
)


def body(kind: type[T]) -> Callable[[Callable[[web.Request, T], Awaitable[web.StreamResponse]]], Handler]:
    """Read the request's body, check it, and call the handler with it.

    Raises PayloadTooLarge, UnsupportedMediaType, BadRequest or InvalidBody for what is refused.
    """

    def decorate(handler: Callable[[web.Request, T], Awaitable[web.StreamResponse]]) -> Handler:
        @functools.wraps(handler)
        async def with_body(request: web.Request) -> web.StreamResponse:
            raw = await read_body(request)
            if not raw and not kind.empty_body:
                raise BadRequest.at("", "is missing")
            return await handler(request, parse(kind, raw))

        with_body.__dict__["body"] = kind
        return with_body

    return decorate


def body_of(handler: object) -> type[Body] | None:
    """The Struct that ``@body`` gave a handler, for the API's description."""
    kind: type[Body] | None = getattr(handler, "body", None)
    return kind


def raw_body(request: web.Request) -> bytes:
    """What :func:`read_body` has read of the request; empty where it was not asked to."""
    raw: bytes = request.get(RAW_BODY, b"")
    return raw


async def read_body(request: web.Request) -> bytes:
    """The body's bytes; empty where there is no body. Stops reading at the limit, whatever length was announced.

    Raises UnsupportedMediaType where it is not declared as JSON, PayloadTooLarge above the limit, BadRequest where the
    rest does not arrive in time.
    """
    if not request.body_exists:
        return b""
    refuse_other_types(request)
    content = request.content
    try:
        if content.is_eof():  # the body came with the header, as most do
            whole = content.read_nowait()
        else:
            whole = await read_up_to_limit(content, request.app[SETTINGS].client_timeout_s)
    except (ConnectionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise BadRequest.at("", "ended early or is badly framed") from error
    if len(whole) > MAX_BODY_BYTES:
        raise PayloadTooLarge
    if not whole:
        return raw_body(request)  # it is empty; or the handler has its second try
    request[RAW_BODY] = whole
    return whole


async def read_up_to_limit(content: StreamReader, within_s: float) -> bytes:
    """The whole content; or, where it is longer than the limit, the pieces up to the first beyond it."""
    whole = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while len(whole) <= MAX_BODY_BYTES and (raw := await content.readany()):
                whole += raw
    except TimeoutError as error:
        raise BadRequest.at("", f"did not arrive within {within_s:g} s") from error
    return bytes(whole)


def refuse_announced_size(request: web.Request) -> None:
    """Raises PayloadTooLarge where ``Content-Length`` is over the limit already."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise PayloadTooLarge


def refuse_other_types(request: web.Request) -> None:
    """Raises UnsupportedMediaType for all but plain UTF-8 JSON; a missing type is another type (RFC 9110 §8.3)."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    if request.headers.get("Content-Type") in _COMMON_TYPES:
        return
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType
