"""Endpoints by which admins keep people out: bans, and the revocation of tokens."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from app.clock import now
from app.errors import BadRequest
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import PEOPLE
from app.ledger.errors import LedgerUnavailable
from app.openapi.declaration import answers
from app.person import Person
from app.rest.audit import note
from app.rest.people import named
from schemas.base import given
from schemas.people import BanRequest, PersonChanged, PersonState
from schemas.types import Name, PartyRole, Role, iso_or_none

routes = web.RouteTableDef()


@routes.get("/admin/users/{role}/{user_id}")
@answers({200: PersonState}, BadRequest, LedgerUnavailable)
@admin_only
async def get_person(request: web.Request) -> web.Response:
    """What admins have decided of a person, whether or not anybody has heard of that id."""
    return state(await request.app[PEOPLE].decided_of(anybody(request)))


@routes.put("/admin/users/{role}/{user_id}/ban")
@answers({200: PersonState}, LedgerUnavailable)
@body(BanRequest)
@admin_only
async def ban(request: web.Request, body: BanRequest) -> web.Response:
    """Keep a party out, for ever or until some time: every request is BANNED, sockets close with 4403, and live calls
    end `banned`. Another ban takes the place of the first one."""
    until_ms = None if given(body.until) is None else until_of(str(body.until))
    person = a_party(request)
    await note(request, "person.ban", person=person, reason=body.reason, until=given(body.until))
    return state(await request.app[PEOPLE].ban(person, body.reason, until_ms))


@routes.delete("/admin/users/{role}/{user_id}/ban")
@answers({200: PersonState}, BadRequest, LedgerUnavailable)
@admin_only
async def lift_ban(request: web.Request) -> web.Response:
    """Let a party in again."""
    person = a_party(request)
    await note(request, "person.unban", person=person)
    return state(await request.app[PEOPLE].lift_ban(person))


@routes.post("/admin/users/{role}/{user_id}/revoke")
@answers({200: PersonState}, BadRequest, LedgerUnavailable)
@admin_only
async def revoke_tokens(request: web.Request) -> web.Response:
    """Refuse all tokens of a person that were issued until now, by their `iat`; those without one as well. Sockets that
    were opened with them close with 4401. Calls go on."""
    person = anybody(request)
    await note(request, "person.revoke", person=person)
    return state(await request.app[PEOPLE].revoke(person))


def anybody(request: web.Request) -> Person:
    return Person(named(request, "role", Role), named(request, "user_id", Name))


def a_party(request: web.Request) -> Person:
    return Person(named(request, "role", PartyRole), named(request, "user_id", Name))


def until_of(text: str) -> int:
    """Raises BadRequest where it is no time, or a past one."""
    try:
        at_ms = round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise BadRequest.at("until", "is no time that there is") from error
    if at_ms <= now().utc_ms:
        raise BadRequest.at("until", "must be in the future")
    return at_ms


def state(decided: PersonChanged) -> web.Response:
    banned = decided.banned and (decided.until_ms is None or decided.until_ms > now().utc_ms)
    return json_response(
        PersonState(
            role=decided.role,
            user_id=decided.user_id,
            banned=banned,
            banned_until=iso_or_none(decided.until_ms) if banned else None,
            ban_reason=decided.ban_reason if banned else None,
            revoked_at=iso_or_none(decided.revoked_at_ms),
        )
    )
