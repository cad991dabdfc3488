"""Live calls, for admins: the list, and one call with everything that its worker knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from app.calls.record import flag_line, latest_quality, lowest_mos
from app.cluster.peers import Question, ask_each
from app.errors import BadRequest, CallNotFound
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import CLUSTER, HUB, LEDGER, MEMBERSHIP, REGISTRY, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import LIVE_STATES, Call, Segment
from app.openapi.declaration import Parameter, answers
from app.ops import inspection
from app.rest.calls import body_fields, detail_fields, require_here, stored_call
from app.rest.pages import PAGE, page_query
from schemas.call import CallState
from schemas.cluster import LookAtCalls, SeenCall, SeenCalls
from schemas.live import LiveCallDetail, LiveCallLine, LiveCallList, SegmentLine
from schemas.types import iso

STATE = Parameter(
    "state",
    Annotated[str, Meta(extra_json_schema={"enum": LIVE_STATES})],
    "one of the states of live calls; all of them where none is given",
)

routes = web.RouteTableDef()


@routes.get("/admin/calls")
@answers({200: LiveCallList}, LedgerUnavailable, query=(STATE, *PAGE))
@admin_only
async def list_live_calls(request: web.Request) -> web.Response:
    """The calls that have not ended, newest first, of all nodes."""
    query = page_query(request)
    page = await request.app[LEDGER].calls_of(states=states_of(request), limit=query.limit, cursor=query.cursor)
    seen, unanswered = await looked_at(request, page.items)
    lines = tuple(line_of(call, seen.get(call.id)) for call in page.items)
    return json_response(LiveCallList(lines, page.next_cursor, unanswered))


@routes.get("/admin/calls/{call_id}")
@answers({200: LiveCallDetail}, CallNotFound, LedgerUnavailable)
@admin_only
async def inspect_call(request: web.Request) -> web.Response:
    """One call with its quality and, while it lives, everything that its worker knows of it."""
    call = request.app[REGISTRY].find(request.match_info["call_id"])  # first: what is gone from here is stored as ended
    stored = await stored_call(request)
    require_here(request, stored, call)
    fields = await detail_fields(request, stored)
    if call is not None and stored.state is not CallState.ENDED:
        live = await inspection.inspect_call(call, request.app[HUB])
        quality = latest_quality(call)
        flags = tuple(flag_line(call, flag) for flag in call.flags.all)
        fields |= {"live": live, "quality": quality, "mos": lowest_mos(quality), "flags": flags, "worker": live.worker}
    segments = tuple(map(segment_line, await request.app[LEDGER].segments(stored.id)))
    return json_response(LiveCallDetail(**fields, segments=segments))


def segment_line(segment: Segment) -> SegmentLine:
    return SegmentLine(
        media_epoch=segment.epoch,
        node=segment.node,
        worker=segment.worker,
        began_at=iso(segment.began_at_ms),
        talked_before_seconds=segment.talked_before_ms // 1000,
        reason=segment.reason,
    )


def states_of(request: web.Request) -> tuple[CallState, ...]:
    """The states in ``?state=``. Raises BadRequest where one is not a live call's."""
    asked = request.query.get("state")
    if asked is None:
        return LIVE_STATES
    if asked not in LIVE_STATES:
        raise BadRequest.at("state", f"must be one of {', '.join(LIVE_STATES)}")
    return (CallState(asked),)


async def looked_at(request: web.Request, stored: Sequence[Call]) -> tuple[dict[str, SeenCall], tuple[str, ...]]:
    """What of the calls is not stored, as their nodes see it, by call; and the nodes that have not answered."""
    app = request.app
    found = (app[REGISTRY].find(call.id) for call in stored)
    seen = {call.id: inspection.seen_call(call) for call in found if call is not None}
    elsewhere = defaultdict[str, list[str]](list)
    for call in stored:
        if call.id not in seen and call.node != app[LEDGER].node:
            elsewhere[call.node].append(call.id)
    if not elsewhere or MEMBERSHIP not in app:
        return seen, ()
    questions = [
        Question(node, "POST", "/internal/calls/look", LookAtCalls(tuple(elsewhere.pop(node.incarnation))))
        for node in app[MEMBERSHIP].view.others
        if node.incarnation in elsewhere
    ]
    answered = await ask_each(app[CLUSTER], claims(request).person, SeenCalls, questions)
    seen |= {call.call_id: call for _, there in answered.given for call in there.calls}
    return seen, (*answered.missing, *elsewhere)


def line_of(stored: Call, seen: SeenCall | None) -> LiveCallLine:
    """A call of the list. ``seen`` is None where it has ended since it was read, or nobody says more of it."""
    return LiveCallLine(
        **body_fields(stored),
        node=stored.node,
        worker=seen.worker if seen else None,
        talk_seconds=seen.talk_seconds if seen else stored.talked_ms // 1000,
        flags=seen.flags if seen else (),
        mos=seen.mos if seen else None,
    )
