"""The texts of the OpenAPI document that are no docstrings of handlers: introduction, tags and path parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from app.openapi.declaration import Parameter
from app.openapi.example_call import CALL_ID, CONSUMER_ID, NODE_ID, PRODUCER_ID, TRANSPORT_ID
from schemas.types import CallId, Name, Role, Uuid, Word

TITLE: Final = "voiceplane"
VERSION: Final = "1.0.0"  # of this interface; a client breaks only where its first number changes

INTRODUCTION: Final = """\
Paid voice calls. The *user* calls and pays, the *otomo* is called and never pays; either is a *party*. A call has a
state, a price and a ledger; from `matched` until its end it has a room, in which each party opens transports, sends
by producers and hears by consumers, in mediasoup-client's own shapes.

**Connected** is the first RTP packet that the server received: no request of a client connects a call.

Bodies are JSON in UTF-8, camelCase, at most 64 KiB. Times are ISO 8601 in UTC with milliseconds, durations whole
seconds, money whole points; what has not happened is `null`. Unknown fields are refused, but inside `rtpParameters`,
`rtpCapabilities` and `dtlsParameters`, where they are dropped. An endpoint that needs no body ignores one.

Refusals have one body: `error` is a code for programs, `message` a Japanese text for display, and `BAD_REQUEST` tells
developers more in `details`. They are looked for in this order: 401, 429, 413 and 415, 400, 404 (room or call), 403,
404 (the object), 409, 503. A URL that does not exist is `NOT_FOUND`, another method `METHOD_NOT_ALLOWED` with `Allow`.

Events, and the commands of a WebSocket, are described by AsyncAPI 3.0: [asyncapi.json](asyncapi.json)."""

TOKEN: Final[Mapping[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Claims: `sub` (the user id), `role` (`user`, `otomo` or `admin`) and `exp`. "
    "`voiceplane token --sub ID --role ROLE` prints one.",
}


class Tag(NamedTuple):
    name: str
    meaning: str


_PEOPLE = Tag("People", "Who is there, whether one is there oneself, and whom one has blocked.")
_HEALTH = Tag("Health", "For load balancers, supervisors and Prometheus.")

TAGS: Final[Mapping[str, Tag]] = {
    "rtc": Tag("Media", "RTC-01 to RTC-07, and what a party needs besides: mute, ICE restart, statistics."),
    "calls": Tag("Calls", "Asking, answering, ending, and reading what happened and what it cost."),
    "me": _PEOPLE,
    "otomos": _PEOPLE,
    "wallet": Tag("Points", "A user's balance and statement."),
    "ws": Tag("WebSocket", "Events and commands; their description is /asyncapi.json."),
    "admin": Tag(
        "Admins",
        "For the role `admin` alone; everybody else is `FORBIDDEN`. The page is for all, and asks for a token.",
    ),
    "health": _HEALTH,
    "metrics": _HEALTH,
    "client": Tag("Client", "What pages in a browser call with: `@voiceplane/client`, as a module."),
    "demo": Tag("Demo", "A page of two windows that call each other; there where the setting `DEMO` has it on."),
    "": Tag("Documents", "What describes this interface, and pages for people; no token is asked."),
}
"""Tags by the first segment of a path; a path with any other segment has the last tag."""

PATH_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "call_id": Parameter("callId", CallId, "the call", CALL_ID),
    "transport_id": Parameter("transportId", Uuid, "a transport, by RTC-02", TRANSPORT_ID),
    "producer_id": Parameter("producerId", Uuid, "a producer, by RTC-04", PRODUCER_ID),
    "consumer_id": Parameter("consumerId", Uuid, "a consumer, by RTC-05", CONSUMER_ID),
    "role": Parameter(
        "role", Role, "the person's role; an admin is no party of calls, and neither blocked nor banned", "user"
    ),
    "user_id": Parameter("userId", Name, "the user", "alice"),
    "supervision_id": Parameter("supervisionId", Name, "the supervision", "9c1185a5c5e9fc54612808977ee8f548"),
    "webhook_id": Parameter("webhookId", Name, "the webhook", "we_5f1c0b7a9d3e4c2b8a6f7e1d"),
    "delivery_id": Parameter("deliveryId", Name, "the delivery", "msg_2c9a5e0b1f7d4386a1c0b9e8d7f65432"),
    "recording_id": Parameter("recordingId", Name, "the recording", "rec_0b1f7d4386a1c0b9e8d7f654322c9a5e"),
    "name": Parameter("name", Word, "the file's name", "base.css"),
    "node_id": Parameter("nodeId", Name, "the node: its `nodeId`, or its name", NODE_ID),
    "otomo_id": Parameter("otomoId", Name, "the otomo", "hana"),
    "version": Parameter("version", Word, "what its content is called, as in `Content-Location`", "4230f1a440447a8b"),
}
"""Path parameters, by their names in the routes."""


def tag_of(path: str) -> Tag:
    return TAGS.get(path.split("/")[1], TAGS[""])
