"""The query of a search for calls: which states, whose, from when to when, how they ended, what was kept with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from app.errors import BadRequest
from app.ledger.values import LIVE_STATES, CallSearch
from app.openapi.declaration import Parameter
from schemas.base import load
from schemas.call import CallState
from schemas.problem import InvalidBody
from schemas.types import MetadataKey, MetadataText, Name, Prose, Reason

LIVE, ALL = "live", "all"
STATES = (LIVE, ALL, *CallState)
METADATA = "metadata."
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SEARCH = (
    Parameter(
        "state",
        Annotated[str, Meta(extra_json_schema={"enum": STATES})],
        "a state; `live`, which is every one but `ended`; or `all`. Where nothing is asked for, `live`; else `all`",
    ),
    Parameter("userId", Name, "the caller"),
    Parameter("otomoId", Name, "the otomo"),
    Parameter("from", Prose, "opened at this time or later: ISO 8601 with an offset or `Z`, or a day in UTC"),
    Parameter("to", Prose, "opened before this time"),
    Parameter("endReason", Reason, "how the call ended"),
    Parameter(
        "metadata.KEY", MetadataText, "the text that the call's metadata has under KEY; may be given for several keys"
    ),
)
"""The parameters, for the API's description."""


def search_of(request: web.Request, by_default: str = LIVE) -> CallSearch:
    """What the query asks for. ``by_default`` are the states where it asks for nothing. Raises BadRequest."""
    user_id, otomo_id, end_reason = (text_of(request, name, Name) for name in ("userId", "otomoId", "endReason"))
    from_ms, to_ms = (moment_of(request, name) for name in ("from", "to"))
    metadata = dict(metadata_of(request))
    asked = any(one is not None for one in (user_id, otomo_id, end_reason, from_ms, to_ms)) or bool(metadata)
    return CallSearch(
        user_id=user_id,
        otomo_id=otomo_id,
        states=states_of(request.query.get("state", ALL if asked else by_default)),
        from_ms=from_ms,
        to_ms=to_ms,
        end_reason=end_reason,
        metadata=metadata,
    )


def states_of(asked: str) -> tuple[CallState, ...]:
    """The states that a word stands for; none where it is all of them. Raises BadRequest."""
    if asked in (LIVE, ALL):
        return LIVE_STATES if asked == LIVE else ()
    if asked not in STATES:
        raise BadRequest.at("state", f"must be one of {', '.join(STATES)}")
    return (CallState(asked),)


def text_of(request: web.Request, name: str, kind: type[str]) -> str | None:
    text = request.query.get(name)
    return None if text is None else checked(kind, name, text)


def metadata_of(request: web.Request) -> Iterator[tuple[str, str]]:
    for name, text in request.query.items():
        if name.startswith(METADATA):
            yield checked(MetadataKey, name, name.removeprefix(METADATA)), checked(MetadataText, name, text)


def checked(kind: type[str], name: str, text: str) -> str:
    try:
        return load(kind, text)
    except InvalidBody as error:
        raise BadRequest.at(name, error.details[0].problem) from error


def moment_of(request: web.Request, name: str) -> int | None:
    """A time in milliseconds since 1970; None where none is given. Raises BadRequest."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # as many send it: a + in a query is a space
    except ValueError:
        at = None
    if at is not None and at.tzinfo is None and len(text) <= len("2026-01-31"):
        at = at.replace(tzinfo=UTC)
    if at is None or at.tzinfo is None:
        raise BadRequest.at(name, "must be a time such as 2026-01-31T12:00:00Z, or a day")
    return (at - EPOCH) // timedelta(milliseconds=1)
