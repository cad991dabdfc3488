"""Endpoints of people: who is there, whether one is there oneself, and whom one does not want to hear of."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import islice
from typing import Annotated, Any, cast, get_args

from aiohttp import web
from msgspec import Meta

from app.errors import BadRequest, Forbidden
from app.http.body import body
from app.http.responses import json_response
from app.keys import PEOPLE, claims
from app.ledger.errors import LedgerUnavailable
from app.openapi.declaration import Parameter, answers
from app.person import Person
from app.rest.pages import PAGE, page_query
from schemas.base import camel_case, load
from schemas.people import (
    BlockLine,
    BlockList,
    BlockState,
    OtomoPage,
    OtomoStatusWord,
    StatusRequest,
    StatusSet,
)
from schemas.problem import InvalidBody
from schemas.types import Name, PartyRole, iso

SEEN = tuple(word for word in get_args(OtomoStatusWord) if word != "offline")
STATUS = Parameter(
    "status",
    Annotated[str, Meta(extra_json_schema={"enum": SEEN})],
    "those with this status; all who are not offline where none is given",
)

routes = web.RouteTableDef()


@routes.put("/me/status")
@answers({200: StatusSet}, Forbidden, LedgerUnavailable)
@body(StatusRequest)
async def set_status(request: web.Request, body: StatusRequest) -> web.Response:
    """Take calls, or not, as an otomo. It stays so, over all sockets, until it is set again."""
    await request.app[PEOPLE].set_status(claims(request), body.status)
    return json_response(StatusSet(body.status))


@routes.get("/otomos")
@answers({200: OtomoPage}, query=(STATUS, *PAGE))
async def list_otomos(request: web.Request) -> web.Response:
    """Who is there now, by their ids: the otomos who are not offline, as users were told last.

    An otomo who blocks whoever asks is not among them.
    """
    query, status = page_query(request), request.query.get("status")
    if status is not None and status not in SEEN:
        raise BadRequest.at("status", f"must be one of {', '.join(SEEN)}")
    after = "" if query.cursor is None else otomo_after(query.cursor)
    listed = request.app[PEOPLE].directory.otomos(claims(request).person, after)
    found = tuple(islice((one for one in listed if status in (None, one.status)), query.limit + 1))
    page, more = found[: query.limit], len(found) > query.limit
    return json_response(OtomoPage(page, cursor_behind(page[-1].otomo_id) if more else None))


def cursor_behind(otomo_id: str) -> str:
    return urlsafe_b64encode(otomo_id.encode()).decode().rstrip("=")


def otomo_after(cursor: str) -> str:
    """The id behind which a page begins. Raises BadRequest."""
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise BadRequest.at("cursor", "is not one of ours") from error


@routes.get("/me/blocks")
@answers({200: BlockList}, Forbidden, LedgerUnavailable)
async def list_blocks(request: web.Request) -> web.Response:
    """Whom the party who asks has blocked, the last first."""
    found = await request.app[PEOPLE].blocks_of(claims(request))
    lines = (BlockLine(cast("PartyRole", one.other.role), one.other.id, iso(one.at_ms)) for one in found)
    return json_response(BlockList(tuple(lines)))


@routes.put("/me/blocks/{role}/{user_id}")
@answers({200: BlockState}, BadRequest, Forbidden, LedgerUnavailable)
async def block(request: web.Request) -> web.Response:
    """Block somebody, as a party: neither can call the other, and a user does not see an otomo who blocks them."""
    return await set_block(request, blocked=True)


@routes.delete("/me/blocks/{role}/{user_id}")
@answers({200: BlockState}, BadRequest, Forbidden, LedgerUnavailable)
async def unblock(request: web.Request) -> web.Response:
    """Block somebody no more."""
    return await set_block(request, blocked=False)


async def set_block(request: web.Request, *, blocked: bool) -> web.Response:
    other = Person(named(request, "role", PartyRole), named(request, "user_id", Name))
    await request.app[PEOPLE].block(claims(request), other, blocked=blocked)
    return json_response(BlockState(cast("PartyRole", other.role), other.id, blocked))


def named(request: web.Request, name: str, kind: Any) -> Any:
    """A part of the path. Raises BadRequest where it is none of that kind."""
    try:
        return load(kind, request.match_info[name])
    except InvalidBody as error:
        raise BadRequest.at(camel_case(name), error.details[0].problem) from error
