"""The query of a list: how many lines a page has, and where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from app.errors import BadRequest
from app.openapi.declaration import Parameter
from schemas.types import MAX_CURSOR, PAGE_LIMIT, Cursor

DEFAULT_LIMIT = 50
Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT)]

PAGE = (
    Parameter("limit", Limit, f"lines at most; {DEFAULT_LIMIT} where none is given"),
    Parameter("cursor", Cursor, "the former page's `nextCursor`"),
)
"""The parameters of every list, for the API's description."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    limit: int
    cursor: str | None


def page_query(request: web.Request) -> PageQuery:
    """Reads ``?limit=&cursor=``. Raises BadRequest where the limit is no number from 1 to 200, or the cursor none of
    ours."""
    limit = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= PAGE_LIMIT):
        raise BadRequest.at("limit", f"must be a whole number from 1 to {PAGE_LIMIT}")
    cursor = request.query.get("cursor")
    if cursor is not None and len(cursor) > MAX_CURSOR:
        raise BadRequest.at("cursor", "is not one of ours")
    return PageQuery(int(limit), cursor or None)
