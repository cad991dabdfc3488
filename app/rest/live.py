"""Live calls, for admins: the list, and one call with everything that its worker knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from aiohttp import web

from app.calls.record import flag_line, latest_quality, lowest_mos
from app.cluster.peers import Question, ask_each
from app.errors import CallNotFound
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import CLUSTER, HUB, LEDGER, MEMBERSHIP, REGISTRY, claims
from app.ledger.call_bodies import body_fields
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Call, Record, Segment
from app.openapi.declaration import answers
from app.ops import inspection
from app.rest.calls import detail_fields, feedback_line, require_here, stored_call
from app.rest.pages import PAGE, page_query
from app.rest.search import SEARCH, search_of
from schemas.call import CallState
from schemas.cluster import LookAtCalls, SeenCall, SeenCalls
from schemas.live import LiveCallDetail, LiveCallLine, LiveCallList, SegmentLine
from schemas.types import iso

routes = web.RouteTableDef()


@routes.get("/admin/calls")
@answers({200: LiveCallList}, LedgerUnavailable, query=(*SEARCH, *PAGE))
@admin_only
async def list_live_calls(request: web.Request) -> web.Response:
    """The calls of a search, newest first, of all nodes; without a search, those that have not ended.

    All that is given must hold.
    """
    query, search = page_query(request), search_of(request)
    page = await request.app[LEDGER].search_calls(search, limit=query.limit, cursor=query.cursor)
    seen, unanswered = await looked_at(request, [call for call in page.items if call.state is not CallState.ENDED])
    records = await request.app[LEDGER].records([call.id for call in page.items if call.state is CallState.ENDED])
    lines = tuple(line_of(call, seen.get(call.id) or records.get(call.id)) for call in page.items)
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
    feedback = tuple(feedback_line(stored, one) for one in await request.app[LEDGER].feedback(stored.id))
    return json_response(LiveCallDetail(**fields, segments=segments, feedback=feedback))


def segment_line(segment: Segment) -> SegmentLine:
    return SegmentLine(
        media_epoch=segment.epoch,
        node=segment.node,
        worker=segment.worker,
        began_at=iso(segment.began_at_ms),
        talked_before_seconds=segment.talked_before_ms // 1000,
        reason=segment.reason,
    )


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


def line_of(stored: Call, seen: SeenCall | Record | None) -> LiveCallLine:
    """A call of the list: what its node sees of it, or what was kept at its end. None where it has ended since it was
    read, or nobody says more of it."""
    return LiveCallLine(
        **body_fields(stored),
        node=stored.node,
        worker=seen.worker if seen else None,
        talk_seconds=seen.talk_seconds if isinstance(seen, SeenCall) else stored.talked_ms // 1000,
        flags=seen.flags if seen else (),
        mos=seen.mos if seen else None,
    )
