"""The query of a list: how many lines, and where to go on."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from app.errors import BadRequest
from app.openapi.declaration import Parameter
from schemas.call import PAGE_LIMIT
from schemas.fields import Text, Whole

DEFAULT_LIMIT = 50
MAX_CURSOR = 512  # characters

PAGE = (
    Parameter("limit", Whole(at_least=1, at_most=PAGE_LIMIT), f"lines at most; {DEFAULT_LIMIT} where none is given"),
    Parameter("cursor", Text(at_least=0, at_most=MAX_CURSOR), "the former page's `nextCursor`"),
)
"""Of every list, for the description."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    limit: int
    cursor: str | None


def page_query(request: web.Request) -> PageQuery:
    """``?limit=&cursor=``. BadRequest where the limit is no number from 1 to 200."""
    limit = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= PAGE_LIMIT):
        raise BadRequest.at("limit", f"must be a whole number from 1 to {PAGE_LIMIT}")
    cursor = request.query.get("cursor")
    if cursor is not None and len(cursor) > MAX_CURSOR:
        raise BadRequest.at("cursor", "is not one of ours")
    return PageQuery(int(limit), cursor or None)
