"""Answers in JSON: values, refusals, and aiohttp's own refusals. Knows no application."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import hdrs, web

from app.errors import (
    BAD_REQUEST,
    EXPECTATION_FAILED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Answer,
    Forbidden,
    PayloadTooLarge,
    UnsupportedMediaType,
    answer_to,
)
from schemas.base import encode

JSON: Final = "application/json; charset=utf-8"

_HEADERS: Final = {hdrs.CONTENT_TYPE: JSON}

# aiohttp's own refusals, which its router, its static files and its handling of `Expect` raise.
_OF_STATUS = {
    400: BAD_REQUEST,
    403: answer_to(Forbidden()),
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: answer_to(PayloadTooLarge()),
    415: answer_to(UnsupportedMediaType()),
    417: EXPECTATION_FAILED,
}


def json_response(value: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, headers=_HEADERS)


def created(value: msgspec.Struct) -> web.Response:
    return web.Response(body=encode(value), status=201, headers=_HEADERS)


def as_response(answer: Answer) -> web.Response:
    response = json_response(answer.body, status=answer.status)
    response.headers.update(answer.headers)
    return response


def refused_by_aiohttp(error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's refusal with our body; redirects and other exceptions that are no refusal stay as they are."""
    answer = _OF_STATUS.get(error.status)
    if answer is None:
        return error
    response = as_response(answer)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        if error.method == hdrs.METH_CONNECT:
            response.force_close()  # what follows may be meant for the other end of a tunnel
    return response
