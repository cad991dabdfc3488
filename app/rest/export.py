"""Calls as a file for other programs: CSV (RFC 4180), streamed, however many they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from aiohttp import hdrs, web
from msgspec.structs import asdict, fields

from app.http.middleware import admin_only
from app.keys import LEDGER
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Call
from app.openapi.declaration import answers
from app.rest.calls import call_body
from app.rest.search import ALL, SEARCH, search_of
from schemas.base import encode
from schemas.call import CallBody

CSV = "text/csv"
COLUMNS = tuple(fields(CallBody))

routes = web.RouteTableDef()


@routes.get("/admin/calls.csv", allow_head=False)
@answers({200: (CSV,)}, LedgerUnavailable, query=SEARCH)
@admin_only
async def export_calls(request: web.Request) -> web.StreamResponse:
    """The calls of a search as CSV, newest first, all of them; without a search, every call.

    The first line names the columns, which are the fields of a call; what has not happened is empty, and metadata is
    a JSON object. A file that was cut off ends without the end of its HTTP answer.
    """
    search = search_of(request, by_default=ALL)
    headers = {
        hdrs.CONTENT_TYPE: f"{CSV}; charset=utf-8; header=present",
        hdrs.CONTENT_DISPOSITION: 'attachment; filename="calls.csv"',
        hdrs.CACHE_CONTROL: "no-store",
    }
    response = web.StreamResponse(headers=headers)
    names = lines([[one.encode_name for one in COLUMNS]])
    async for some in request.app[LEDGER].every_call(search):
        if not response.prepared:  # only now: what can't be read is refused like anything else
            await response.prepare(request)
            await response.write(names)
        if some:
            await response.write(lines(map(cells, some)))
    await response.write_eof()
    return response


def cells(call: Call) -> list[object]:
    values = asdict(call_body(call))
    metadata = values["metadata"]
    return [*(values | {"metadata": encode(metadata).decode() if metadata else ""}).values()]


def lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
