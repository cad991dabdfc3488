"""The audit log, for admins; and how handlers write into it."""

from __future__ import annotations

from typing import Any, cast, get_args

from aiohttp import web

from app.clock import now
from app.errors import BadRequest
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import LEDGER, claims
from app.ledger.audit_log import AuditSearch, Entry
from app.ledger.errors import LedgerUnavailable
from app.openapi.declaration import Parameter, answers
from app.person import Person
from app.rest.pages import PAGE, page_query
from app.rest.search import moment_of, text_of
from schemas.audit import AuditAction, AuditLine, AuditList
from schemas.base import camel_case
from schemas.types import CallId, Name, Prose, iso

MAX_DETAIL = 512  # characters

AUDIT = (
    Parameter("admin", Name, "who did it"),
    Parameter("callId", CallId, "the call that it was about"),
    Parameter("action", AuditAction, "what was done"),
    Parameter("from", Prose, "at this time or later: ISO 8601 with an offset or `Z`, or a day in UTC"),
    Parameter("to", Prose, "before this time"),
)

routes = web.RouteTableDef()


@routes.get("/admin/audit")
@answers({200: AuditList}, LedgerUnavailable, query=(*AUDIT, *PAGE))
@admin_only
async def list_audit(request: web.Request) -> web.Response:
    """What admins did, newest first: all that is given must hold.

    Each line was written before it was done, so that one may be there of what then was refused.
    """
    query = page_query(request)
    search = AuditSearch(
        admin_id=text_of(request, "admin", Name),
        call_id=text_of(request, "callId", CallId),
        action=action_of(request),
        from_ms=moment_of(request, "from"),
        to_ms=moment_of(request, "to"),
    )
    page = await request.app[LEDGER].audit_log.search(search, limit=query.limit, cursor=query.cursor)
    return json_response(AuditList(tuple(map(line_of, page.items)), page.next_cursor))


async def note(request: web.Request, action: AuditAction, **about: Any) -> None:
    """Write down what the admin who asks is about to do; ``about`` is what :func:`entry_of` takes."""
    await request.app[LEDGER].audit_log.note(entry_of(request, action, **about))


def entry_of(
    request: web.Request,
    action: AuditAction,
    *,
    call_id: str | None = None,
    person: Person | None = None,
    subject: str | None = None,
    reason: str | None = None,
    **details: object,
) -> Entry:
    """A line about the admin who asks. Of ``details`` those that are None are left out."""
    return Entry(
        admin_id=claims(request).user_id,
        action=action,
        at_ms=now().utc_ms,
        call_id=call_id,
        person=person,
        subject=subject,
        reason=reason,
        details={camel_case(name): str(value)[:MAX_DETAIL] for name, value in details.items() if value is not None},
    )


def action_of(request: web.Request) -> AuditAction | None:
    """Raises BadRequest."""
    action = request.query.get("action")
    if action is not None and action not in get_args(AuditAction):
        raise BadRequest.at("action", f"must be one of: {', '.join(get_args(AuditAction))}")
    return cast("AuditAction | None", action)


def line_of(entry: Entry) -> AuditLine:
    return AuditLine(
        audit_id=entry.id,
        at=iso(entry.at_ms),
        admin_id=entry.admin_id,
        action=entry.action,
        call_id=entry.call_id,
        role=None if entry.person is None else entry.person.role,
        user_id=None if entry.person is None else entry.person.id,
        subject=entry.subject,
        reason=entry.reason,
        details=dict(entry.details),
    )
