"""An answer of JSON, sent in one piece: header and body are written as they are known, by the one path that they take.

aiohttp composes a header field by field, for bodies of any kind and length, which costs a small answer more than its
handler's own work. Whatever is not the ordinary case here is left to it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

JSON: Final = "application/json; charset=utf-8"
HEADER: Final = {hdrs.CONTENT_TYPE: JSON}

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class JsonResponse(web.Response):
    """``body``: the JSON text. Further header fields may be set until it is sent, as on any response."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(body=body, status=status, headers=HEADER)
        self._json = body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        ordinary = (
            request.version == HttpVersion11
            and request.keep_alive
            and request.method != hdrs.METH_HEAD
            and len(self._headers) == 1
            and self._keep_alive is None  # nobody has forced it to close, nor is it prepared
        )
        if not ordinary:
            return await super().prepare(request)
        head = (
            f"{_STATUS_LINES[self._status]}\r\nContent-Type: {JSON}\r\nContent-Length: {len(self._json)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        )
        await request.writer.write(head.encode() + self._json)
        self._keep_alive = self._eof_sent = True
        return request.writer
