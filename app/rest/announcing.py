"""For admins: clips, and what is played into a call's legs."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET

from app.announcing.clips import Listed
from app.calls.call import LiveCall
from app.errors import CallNotFound, ClipNotFound, InvalidCallState
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import created, json_response
from app.keys import ANNOUNCING, CALLS
from app.ledger.errors import LedgerUnavailable
from app.openapi.declaration import answers
from app.rest.audit import note
from schemas.announcing import (
    Announced,
    AnnounceRequest,
    ClipLine,
    ClipList,
    Hearers,
    HoldRequest,
    HoldState,
    ResumeRequest,
)
from schemas.base import given
from schemas.types import PartyRole, iso

PARTIES: dict[Hearers, tuple[PartyRole, ...]] = {
    "user": ("user",),
    "otomo": ("otomo",),
    "both": ("user", "otomo"),
}
SHOWN = 255  # characters of a file's name

routes = web.RouteTableDef()


@routes.get("/admin/clips")
@answers({200: ClipList})
@admin_only
async def list_clips(request: web.Request) -> web.Response:
    """The clips that this node can play, and those that it can't, with the reason."""
    return json_response(ClipList(tuple(map(clip_line, await request.app[ANNOUNCING].clips.list()))))


@routes.post("/admin/calls/{call_id}/announce")
@answers({201: Announced}, CallNotFound, ClipNotFound, InvalidCallState, LedgerUnavailable)
@body(AnnounceRequest)
@admin_only
async def announce(request: web.Request, body: AnnounceRequest) -> web.Response:
    """Play a clip into one or both legs of a call that both have agreed to, behind what is played there already.

    Nothing of it counts as anybody's sound. Each request is played.
    """
    announcing = request.app[ANNOUNCING]
    call = await request.app[CALLS].live(request.match_info["call_id"])
    clip = await announcing.clips.get(body.clip)
    await note(request, "call.announce", call_id=call.id, reason=given(body.reason), clip=clip.name, to=body.to)
    made = announcing.announcer.announce(call, clip, PARTIES[body.to])
    return created(
        Announced(announcement_id=made.id, call_id=call.id, clip=clip.name, to=body.to, duration_ms=clip.duration_ms)
    )


@routes.get("/admin/calls/{call_id}/hold")
@answers({200: HoldState}, CallNotFound, InvalidCallState, LedgerUnavailable)
@admin_only
async def get_hold(request: web.Request) -> web.Response:
    """Whether a live call is on hold."""
    call = await request.app[CALLS].live(request.match_info["call_id"])
    return json_response(hold_state(call))


@routes.post("/admin/calls/{call_id}/hold")
@answers({200: HoldState}, CallNotFound, ClipNotFound, InvalidCallState, LedgerUnavailable)
@body(HoldRequest)
@admin_only
async def hold_call(request: web.Request, body: HoldRequest) -> web.Response:
    """Put a call on hold: neither party hears the other until it is resumed, and both hear the music, if any.

    The clock of the call runs on. The same again changes nothing; other music takes the place of what is played.
    """
    announcing = request.app[ANNOUNCING]
    call = await request.app[CALLS].live(request.match_info["call_id"])
    music = None if body.music is UNSET else await announcing.clips.get(body.music)
    await note(request, "call.hold", call_id=call.id, reason=given(body.reason), music=given(body.music))
    await announcing.holds.hold(call, music)
    return json_response(hold_state(call))


@routes.post("/admin/calls/{call_id}/resume")
@answers({200: HoldState}, CallNotFound, InvalidCallState, LedgerUnavailable)
@body(ResumeRequest)
@admin_only
async def resume_call(request: web.Request, body: ResumeRequest) -> web.Response:
    """Let the parties of a call that is on hold hear each other again. The same again changes nothing."""
    call = await request.app[CALLS].live(request.match_info["call_id"])
    await note(request, "call.resume", call_id=call.id, reason=given(body.reason))
    await request.app[ANNOUNCING].holds.release(call)
    return json_response(hold_state(call))


def hold_state(call: LiveCall) -> HoldState:
    held = call.held
    return HoldState(
        call_id=call.id,
        held=held is not None,
        since=None if held is None else iso(held.since_ms),
        music=None if held is None else held.music,
    )


def clip_line(listed: Listed) -> ClipLine:
    return ClipLine(
        clip=shown(listed.name),
        file=shown(listed.path.name),
        builtin=listed.own,
        size=listed.size,
        duration_ms=listed.duration_ms,
        channels=listed.channels,
        problem=listed.problem,
    )


def shown(name: str) -> str:
    """A file's name, which may hold anything but a slash."""
    return "".join(one if one.isprintable() else "?" for one in name)[:SHOWN] or "?"
