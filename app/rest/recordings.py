"""For admins: which calls are recorded, and the files that came of it."""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import hdrs, web

from app.clock import now
from app.errors import (
    BadRequest,
    CallNotFound,
    InvalidCallState,
    NotEnabled,
    RangeNotSatisfiable,
    RecordingLimitExceeded,
    RecordingNotFound,
    RecordingNotReady,
)
from app.http.body import body
from app.http.middleware import admin_only
from app.http.ranges import Span, asked_range
from app.http.responses import json_response
from app.keys import CALLS, LEDGER, RECORDING, SETTINGS, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.recordings import RecordingFile
from app.ledger.values import Call
from app.openapi.declaration import Parameter, answers
from app.recording.errors import StorageError
from app.rest.audit import note
from app.rest.calls import stored_call
from schemas.audit import AuditAction
from schemas.base import load
from schemas.problem import InvalidBody
from schemas.recording import (
    CallRecording,
    RecordingDeleted,
    RecordingId,
    RecordingLine,
    RecordingStatus,
    RecordRequest,
)
from schemas.types import iso, iso_or_none

OGG: Final = "audio/ogg"
OGG_OPUS: Final = f"{OGG}; codecs=opus"  # RFC 5334 §4, RFC 6381
PATH: Final = "/admin/calls/{call_id}/recording"
OF_A_CALL = (CallNotFound, InvalidCallState, LedgerUnavailable)
OF_A_FILE = (RecordingNotFound, RecordingNotReady, StorageError, LedgerUnavailable)
DOWNLOAD = (Parameter("download", Literal["1"], "to be kept as a file, which the audit log tells from playing"),)

routes = web.RouteTableDef()


@routes.post(PATH)
@answers({200: RecordingStatus}, NotEnabled, RecordingLimitExceeded, *OF_A_CALL)
@body(RecordRequest)
@admin_only
async def start_recording(request: web.Request, body: RecordRequest) -> web.Response:
    """Record a live call from now on; one that is not connected yet, from its first packet. Both parties are told.

    Each party's sound becomes a file of its own, as it was sent. A call that is recorded already goes on being so.
    """
    call = await request.app[CALLS].live(request.match_info["call_id"])
    await note(request, "recording.start", call_id=call.id, reason=body.reason)
    state = await request.app[RECORDING].recordings.start(call, claims(request).user_id, body.reason)
    return json_response(RecordingStatus(call.id, state))


@routes.post(f"{PATH}/pause")
@answers({200: RecordingStatus}, *OF_A_CALL)
@admin_only
async def pause_recording(request: web.Request) -> web.Response:
    """Record nothing for now: the files have silence meanwhile. Both parties are told."""
    return await paused(request, paused=True)


@routes.post(f"{PATH}/resume")
@answers({200: RecordingStatus}, *OF_A_CALL)
@admin_only
async def resume_recording(request: web.Request) -> web.Response:
    """Go on recording after a pause. Both parties are told."""
    return await paused(request, paused=False)


async def paused(request: web.Request, *, paused: bool) -> web.Response:
    call = await request.app[CALLS].live(request.match_info["call_id"])
    await note(request, "recording.pause" if paused else "recording.resume", call_id=call.id)
    return json_response(RecordingStatus(call.id, await request.app[RECORDING].recordings.pause(call, paused=paused)))


@routes.delete(PATH)
@answers({200: RecordingStatus}, *OF_A_CALL)
@admin_only
async def stop_recording(request: web.Request) -> web.Response:
    """End a call's recording: its files end here, and are stored. Both parties are told.

    The call may be recorded again, in files of their own.
    """
    call = await request.app[CALLS].live(request.match_info["call_id"])
    await note(request, "recording.stop", call_id=call.id)
    return json_response(RecordingStatus(call.id, await request.app[RECORDING].recordings.stop(call)))


@routes.get(PATH)
@answers({200: CallRecording}, CallNotFound, LedgerUnavailable)
@admin_only
async def get_call_recording(request: web.Request) -> web.Response:
    """Whether a call is or was recorded, who asked for it and why; and its files, the user's first."""
    call = await stored_call(request)
    recordings = request.app[LEDGER].recordings
    asked, files = await recordings.asked(call.id), await recordings.of_call(call.id)
    over = call.ended_at_ms is not None
    return json_response(
        CallRecording(
            call_id=call.id,
            enabled=request.app[SETTINGS].recording,
            state=None if asked is None else "stopped" if over else asked.state,
            asked_by=None if asked is None else asked.asked_by,
            reason=None if asked is None else asked.reason,
            asked_at=None if asked is None else iso(asked.asked_at_ms),
            recordings=tuple(line_of(call, one) for one in files),
        )
    )


@routes.get("/admin/recordings/{recording_id}")
@answers({200: (OGG,), 206: (OGG,)}, BadRequest, RangeNotSatisfiable, *OF_A_FILE, query=DOWNLOAD)
@admin_only
async def get_recording(request: web.Request) -> web.StreamResponse:
    """A file: Ogg Opus, as long as the call, from `connectedAt` on. A `Range` of bytes is answered alone."""
    to_keep = is_download(request)
    file = await stored_file(request)
    uploads = request.app[RECORDING].uploads
    size = await uploads.size(file)
    tag = f'"{file.id}"'  # what has an id never changes
    header = request.headers.get(hdrs.RANGE) if request.headers.get(hdrs.IF_RANGE, tag) == tag else None
    part = asked_range(header, size)
    await noted(request, file, part, to_keep=to_keep)
    span = part or Span(0, size)
    headers = {
        hdrs.CONTENT_TYPE: OGG_OPUS,
        hdrs.CONTENT_LENGTH: str(span.end - span.begin),
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.ETAG: tag,
        hdrs.CACHE_CONTROL: "no-store",
    }
    if part is not None:
        headers[hdrs.CONTENT_RANGE] = f"bytes {part.begin}-{part.end - 1}/{size}"
    if to_keep:
        name = f"{file.call_id}-{file.role}-{file.part}.opus"
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
    response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
    if request.method == hdrs.METH_HEAD:
        return response
    async for some in uploads.read(file, *span):
        if not response.prepared:  # only now: what can't be read is refused like anything else
            await response.prepare(request)
        await response.write(some)
    await response.write_eof()
    return response


def is_download(request: web.Request) -> bool:
    """Raises BadRequest."""
    text = request.query.get("download")
    if text not in (None, "1"):
        raise BadRequest.at("download", "must be 1 where it is given")
    return text is not None


async def noted(request: web.Request, file: RecordingFile, part: Span | None, *, to_keep: bool) -> None:
    """Each reading is a line of the audit log; of one that goes on from part to part, as a player's does, the first."""
    readings, beginning = request.app[RECORDING].readings, part is None or part.begin == 0
    if not readings.goes_on(claims(request).user_id, file.id, beginning=beginning):
        action: AuditAction = "recording.download" if to_keep else "recording.play"
        await note(request, action, call_id=file.call_id, subject=file.id)


@routes.delete("/admin/recordings/{recording_id}")
@answers({200: RecordingDeleted}, BadRequest, *OF_A_FILE)
@admin_only
async def delete_recording(request: web.Request) -> web.Response:
    """Delete a file, wherever it is kept. One that grows has to be stopped before."""
    file = await file_of(request)
    if file.state == "recording":
        raise RecordingNotReady(file.id)
    await note(request, "recording.delete", call_id=file.call_id, subject=file.id)
    await request.app[RECORDING].uploads.delete(file)
    return json_response(RecordingDeleted(True))


async def stored_file(request: web.Request) -> RecordingFile:
    """Raises RecordingNotFound; RecordingNotReady where it is not in the storage."""
    file = await file_of(request)
    if file.state != "stored" or (file.expires_at_ms is not None and file.expires_at_ms <= now().utc_ms):
        raise RecordingNotReady(file.id)
    return file


async def file_of(request: web.Request) -> RecordingFile:
    """Raises RecordingNotFound, also for what can't be a recording's id."""
    try:
        file_id = load(RecordingId, request.match_info["recording_id"])
    except InvalidBody as error:
        raise RecordingNotFound(request.match_info["recording_id"]) from error
    file = await request.app[LEDGER].recordings.file(file_id)
    if file is None:
        raise RecordingNotFound(file_id)
    return file


def line_of(call: Call, file: RecordingFile) -> RecordingLine:
    return RecordingLine(
        recording_id=file.id,
        call_id=file.call_id,
        user_id=call.parties.person(file.role).id,
        role=file.role,
        part=file.part,
        state=file.state,
        began_at=iso(file.began_at_ms),
        duration_ms=file.duration_ms,
        bytes=file.bytes,
        error=file.error,
        expires_at=iso_or_none(file.expires_at_ms),
    )
