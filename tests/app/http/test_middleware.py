"""The edge over real sockets: the order of refusals, bodies of every size and kind, and one error body everywhere."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Meta
from yarl import URL

from app.access.ratelimit import RateLimiter
from app.access.tokens import WEBSOCKET_BEARER, Authenticator, issue_token
from app.errors import ProducerAlreadyExists, TransportNotFound
from app.http.body import MAX_BODY_BYTES, body, body_of
from app.http.middleware import admin_only, guard, is_admin_only, is_public, public
from app.http.responses import created, json_response
from app.http.server import make_runner
from app.keys import AUTHENTICATOR, HTTP_OBSERVERS, RATE_LIMITER, SETTINGS, claims
from app.settings import Settings
from schemas.base import Body
from tests.app.access.signed_tokens import SECRET
from worker_bridge.errors import InvalidParameters, WorkerGone
from worker_bridge.value import PRINTABLE

EDGE = Settings(jwt_secret=SECRET)
USER = {"Authorization": f"Bearer {issue_token(EDGE, 'ann', 'user', 600)}"}
ADMIN = {"Authorization": f"Bearer {issue_token(EDGE, 'ada', 'admin', 600)}"}
FAILURES = {
    "transport": TransportNotFound("t1", which="send"),
    "twice": ProducerAlreadyExists("p1"),
    "worker": WorkerGone("worker 7 died"),
    "misuse": InvalidParameters("rtpParameters.codecs.0.payloadType: 300 is no payload type"),
    "bug": KeyError("a secret detail"),
    "gone": web.HTTPFound("/elsewhere"),
    "teapot": web.HTTPConflict(text="aiohttp's own words"),
}

PUBLIC = ("/health/live", "/docs", "/openapi.json", "/demo", "/demo/{name}")

Client = TestClient[web.Request, web.Application]


class ServedAsInEarnest(TestServer):
    """aiohttp's test server with the options that `voiceplane serve` gives to its own."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return make_runner(self.app)


Line = Annotated[str, Meta(min_length=1, max_length=100), PRINTABLE]


class Note(Body, frozen=True):
    """A body with one field."""

    text: Line


class Maybe(Body, frozen=True):
    empty_body: ClassVar[bool] = True

    text: Line = "nothing"


@body(Note)
async def write_note(request: web.Request, note: Note) -> web.Response:
    return created({"by": claims(request).user_id, "text": note.text})


@body(Maybe)
async def maybe_note(_request: web.Request, note: Maybe) -> web.Response:
    return json_response({"text": note.text})


async def no_body(request: web.Request) -> web.Response:
    return json_response({"by": claims(request).user_id, "role": claims(request).role})


async def fail(request: web.Request) -> web.Response:
    raise FAILURES[request.match_info["how"]]


async def break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    raise ProducerAlreadyExists("too late to say so")


@public
async def for_everybody(_request: web.Request) -> web.Response:
    return json_response({"public": True})


@body(Note)
@admin_only
async def order(request: web.Request, note: Note) -> web.Response:
    return json_response({"by": claims(request).user_id, "text": note.text})


async def socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=(WEBSOCKET_BEARER,))
    await ws.prepare(request)
    await ws.send_str(claims(request).user_id)
    await ws.close()
    return ws


@asynccontextmanager
async def edge_app(rate: float = 0) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[guard])
    app[SETTINGS] = EDGE
    app[RATE_LIMITER] = RateLimiter(rate)
    app[HTTP_OBSERVERS] = []
    app.add_routes(
        [
            web.post("/notes", write_note),
            web.post("/maybe", maybe_note),
            web.post("/nothing", no_body),
            web.get("/me", no_body),
            web.get("/fail/{how}", fail),
            web.get("/break", break_off),
            web.get("/ws", socket),
            web.post("/order", order),
            *(
                web.get(path, for_everybody)
                for path in ("/health/live", "/docs", "/openapi.json", "/demo", "/demo/{name}")
            ),
            web.get("/documents", no_body),
            web.get("/healthy", no_body),
        ]
    )
    async with (
        Authenticator.open(EDGE) as app[AUTHENTICATOR],
        TestClient(ServedAsInEarnest(app)) as client,
    ):
        yield client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with edge_app() as client:
        yield client


async def code(response: ClientResponse) -> tuple[int, str]:
    """Status and error code of a refusal, which always has the one body."""
    answer = await response.json()
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.keys() - {"details"} == {"error", "message"}
    assert ("details" in answer) is (answer["error"] == "BAD_REQUEST")
    return response.status, answer["error"]


# --- who asks


async def test_a_handler_knows_who_asks(client: Client) -> None:
    response = await client.get("/me", headers=USER)
    assert (response.status, await response.json()) == (200, {"by": "ann", "role": "user"})


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer"])
async def test_without_a_token_the_challenge_has_no_error(client: Client, header: str | None) -> None:
    response = await client.get("/me", headers={"Authorization": header} if header is not None else {})
    assert await code(response) == (401, "UNAUTHORIZED")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["x", "a.b.c", USER["Authorization"][7:-3] + "AAA"])
async def test_with_a_bad_token_the_challenge_says_so(client: Client, token: str) -> None:
    response = await client.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert await code(response) == (401, "UNAUTHORIZED")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("path", ["/health/live", "/docs", "/openapi.json", "/demo", "/demo/app.js"])
async def test_public_pages_need_no_token(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200


@pytest.mark.parametrize(
    "path",
    ["/documents", "/healthy", "/nowhere", "/demo/../me", "/demo%2F..%2Fme", "//health/live", "/health/../me", "/DEMO"],
)
async def test_what_only_looks_public_needs_one(client: Client, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert b" 401 " in (await reader.read()).partition(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()


async def test_a_socket_is_opened_with_the_header_or_the_subprotocol(client: Client) -> None:
    async with client.ws_connect("/ws", headers=USER) as ws:
        assert (await ws.receive_str(), ws.protocol) == ("ann", None)
    async with client.ws_connect("/ws", protocols=("bearer", USER["Authorization"][7:])) as ws:
        assert (await ws.receive_str(), ws.protocol) == ("ann", "bearer")


@pytest.mark.parametrize("protocols", [(), ("bearer",), ("bearer", "a.b.c"), ("chat", USER["Authorization"][7:])])
async def test_a_bad_socket_is_refused_before_the_upgrade(client: Client, protocols: tuple[str, ...]) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    if protocols:
        headers["Sec-WebSocket-Protocol"] = ", ".join(protocols)
    assert await code(await client.get("/ws", headers=headers)) == (401, "UNAUTHORIZED")


async def test_a_subprotocol_opens_nothing_but_the_socket(client: Client) -> None:
    response = await client.get("/me", headers={"Sec-WebSocket-Protocol": f"bearer, {USER['Authorization'][7:]}"})
    assert response.status == 401


async def test_an_admins_endpoint_is_for_admins_after_its_body_is_checked(client: Client) -> None:
    assert await code(await client.post("/order", json={"text": "x"})) == (401, "UNAUTHORIZED")
    assert await code(await client.post("/order", headers=USER, json={})) == (400, "BAD_REQUEST")
    assert await code(await client.post("/order", headers=USER, json={"text": "x"})) == (403, "FORBIDDEN")
    assert await (await client.post("/order", headers=ADMIN, json={"text": "x"})).json() == {"by": "ada", "text": "x"}


def test_marks_are_seen_through_other_decorators() -> None:
    assert (is_public(for_everybody), is_admin_only(for_everybody)) == (True, False)
    assert (is_public(order), is_admin_only(order), body_of(order)) == (False, True, Note)
    assert (is_public(no_body), is_admin_only(no_body)) == (False, False)


@pytest.mark.parametrize(
    ("path", "there"),
    [("/docs/", "/docs"), ("/demo/", "/demo"), ("/health/live/?x=y", "/health/live?x=y"), ("/demo/app.js/", None)],
)
async def test_a_public_page_is_found_with_a_slash_behind_it(client: Client, path: str, there: str | None) -> None:
    response = await client.get(URL(path, encoded=True))
    assert response.status == 200
    assert response.history[0].status == 308
    assert str(response.url.relative()) == (there or "/demo/app.js")


@pytest.mark.parametrize("path", ["/me/", "/docs//", "/nowhere/", "//", "/fail/", "/documents/"])
async def test_a_slash_behind_any_other_path_opens_and_tells_nothing(client: Client, path: str) -> None:
    response = await client.get(URL(path, encoded=True), allow_redirects=False)
    assert await code(response) == (401, "UNAUTHORIZED")


# --- how often


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    async with edge_app(rate=0.5) as client:
        assert (await client.get("/me", headers=USER)).status == 200
        response = await client.get("/me", headers=USER)
        assert await code(response) == (429, "RATE_LIMITED")
        assert 1 <= int(response.headers["Retry-After"]) <= 2


async def test_admins_and_public_pages_are_exempt() -> None:
    async with edge_app(rate=0.001) as client:
        for _ in range(5):
            assert (await client.get("/me", headers=ADMIN)).status == 200
            assert (await client.get("/health/live", headers=USER)).status == 200


# --- the order of refusals


async def test_refusals_come_in_the_contracts_order() -> None:
    wrong: dict[str, Any] = {"data": b"x" * (MAX_BODY_BYTES + 1)}
    async with edge_app(rate=0.001) as client:
        assert await code(await client.post("/notes", **wrong)) == (401, "UNAUTHORIZED")
        assert await code(await client.post("/notes", headers=USER, **wrong)) == (413, "PAYLOAD_TOO_LARGE")
        assert await code(await client.post("/notes", headers=USER, **wrong)) == (429, "RATE_LIMITED")
        assert await code(await client.post("/notes", headers=ADMIN, data=b"{")) == (415, "UNSUPPORTED_MEDIA_TYPE")
        text = {"Content-Type": "application/json"}
        assert await code(await client.post("/notes", headers=ADMIN | text, data=b"{")) == (400, "BAD_REQUEST")


# --- bodies


async def test_a_body_reaches_its_handler_as_a_value(client: Client) -> None:
    response = await client.post("/notes", headers=USER, json={"text": "こんにちは"})
    assert response.status == 201
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert await response.json() == {"by": "ann", "text": "こんにちは"}


def test_the_body_of_a_handler_is_known_to_whoever_describes_it() -> None:
    assert body_of(write_note) is Note
    assert body_of(no_body) is None


@pytest.mark.parametrize(
    ("raw", "path"), [(b"", ""), (b"{", ""), (b"[]", ""), (b"{}", "text"), (b'{"text": 7}', "text"), (b"\xff", "")]
)
async def test_a_wrong_body_is_refused_with_its_path(client: Client, raw: bytes, path: str) -> None:
    response = await client.post("/notes", headers=USER | {"Content-Type": "application/json"}, data=raw)
    assert await code(response) == (400, "BAD_REQUEST")
    assert [detail["path"] for detail in (await response.json())["details"]] == [path]


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("application/json", True), ("application/json; charset=utf-8", True), ("Application/JSON;charset=UTF-8", True),
        ('application/json; charset="utf-8"', True), ("application/json; profile=x", True),
        ("application/json; charset=utf-16", False), ("application/json; charset=latin-1", False),
        ("text/json", False), ("text/plain", False), ("application/x-www-form-urlencoded", False),
        ("application/jsonx", False), ("application/merge-patch+json", False), ("json", False), ("", False),
        ("text/plain, application/json", False),
    ],
)  # fmt: skip
async def test_a_body_must_say_that_it_is_json(client: Client, content_type: str, accepted: bool) -> None:
    response = await client.post("/notes", headers=USER | {"Content-Type": content_type}, data=b'{"text":"x"}')
    assert response.status == (201 if accepted else 415)


async def test_a_body_without_a_type_is_refused(client: Client) -> None:
    token = USER["Authorization"]
    answer = await exchange(
        client, f'POST /notes HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 12\r\n\r\n{{"text":"x"}}'
    )
    assert answer == [415]


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("gzip", gzip.compress(b'{"text":"x"}', mtime=0)),
        ("gzip", b"no gzip"),
        ("deflate", b"x"),
        ("br", b"x"),
        ("GZIP", b"x"),
    ],
)
async def test_a_compressed_body_is_refused(client: Client, encoding: str, raw: bytes) -> None:
    headers = USER | {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert await code(await client.post("/notes", headers=headers, data=raw)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_have_just_64_kib(client: Client, chunked: bool) -> None:
    headers = USER | {"Content-Type": "application/json"}
    frame = len(b'{"text":""}')
    for size, status in ((MAX_BODY_BYTES, 400), (MAX_BODY_BYTES + 1, 413)):  # the field itself takes less: 400
        raw = b'{"text":"' + b"x" * (size - frame) + b'"}'
        response = await client.post("/notes", headers=headers, data=pieces(raw) if chunked else raw)
        assert response.status == status


async def test_a_body_that_arrives_in_pieces_is_put_together(client: Client) -> None:
    raw = json.dumps({"text": "a body in many pieces"}).encode()
    response = await client.post("/notes", headers=USER | {"Content-Type": "application/json"}, data=pieces(raw, 5))
    assert (await response.json())["text"] == "a body in many pieces"


async def pieces(raw: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


async def test_an_endless_body_is_refused_while_it_still_comes(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head("/notes", "Transfer-Encoding: chunked"))
    writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n1\r\nx\r\n")  # one byte too many, and no last chunk
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", ["/notes", "/nothing"])
async def test_an_announced_giant_is_refused_unread(client: Client, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head(path, "Content-Length: 1000000000"))
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    assert b"connection: close" in (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_nobody_needs_is_accepted_and_ignored(client: Client) -> None:
    for raw in (b"", b"{}", b"no json", b"x" * MAX_BODY_BYTES):
        response = await client.post("/nothing", headers=USER | {"Content-Type": "text/plain"}, data=raw)
        assert response.status == 200


async def test_an_optional_body_may_be_missing(client: Client) -> None:
    assert await (await client.post("/maybe", headers=USER)).json() == {"text": "nothing"}
    assert await (await client.post("/maybe", headers=USER, json={"text": "x"})).json() == {"text": "x"}


# --- framing: what was not read of one request must not be taken for the next


def head(path: str, *lines: str, token: str = USER["Authorization"]) -> bytes:
    fixed = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: {token}", "Content-Type: application/json"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


async def exchange(client: Client, *requests: str | bytes) -> list[int]:
    """The statuses of as many answers as there are requests, all sent at once on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    for request in requests:
        writer.write(request.encode() if isinstance(request, str) else request)
    statuses = []
    for _ in requests:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        statuses.append(int(lines[0].split()[1]))
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return statuses


SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/notes", "Bearer x", 401),
        ("/notes", USER["Authorization"], 400),
        ("/nothing", USER["Authorization"], 200),
        ("/nowhere", USER["Authorization"], 404),
    ],
)
async def test_an_unread_body_is_not_taken_for_the_next_request(
    client: Client, path: str, token: str, status: int, chunked: bool
) -> None:
    raw = SMUGGLED * 20
    if chunked:
        first = head(path, "Transfer-Encoding: chunked", token=token) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw)
    else:
        first = head(path, f"Content-Length: {len(raw)}", token=token) + raw
    second = head("/notes", "Content-Length: 12") + b'{"text":"x"}'
    assert await exchange(client, first, second) == [status, 201]


async def test_broken_chunks_end_the_connection(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head("/notes", "Transfer-Encoding: chunked") + b'5\r\n{"tex\r\nnot-a-size\r\n' + SMUGGLED)
    answers = await reader.read()
    assert b" 400 " in answers.partition(b"\r\n")[0]
    assert b'"public"' not in answers
    assert [
        record for record in caplog.records if record.levelno >= logging.ERROR and record.name == "app.http.middleware"
    ] == []
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "app.http.middleware")
    refused = asyncio.Event()
    handler = logging.Handler()
    handler.emit = lambda record: refused.set()  # type: ignore[method-assign]
    logging.getLogger("app.http.middleware").addHandler(handler)
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(head("/notes", "Content-Length: 100") + b'{"text":')
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(refused.wait(), 5)
    finally:
        logging.getLogger("app.http.middleware").removeHandler(handler)
    assert [record.levelno for record in caplog.records if record.name == "app.http.middleware"] == [logging.DEBUG]


# --- what went wrong


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("transport", 404, "TRANSPORT_NOT_FOUND"), ("twice", 409, "PRODUCER_ALREADY_EXISTS"),
        ("worker", 503, "WORKER_UNAVAILABLE"), ("misuse", 400, "BAD_REQUEST"),
    ],
)  # fmt: skip
async def test_the_table_answers(client: Client, how: str, status: int, error: str) -> None:
    response = await client.get(f"/fail/{how}", headers=USER)
    assert await code(response) == (status, error)
    assert ("Retry-After" in response.headers) is (status == 503)


async def test_a_misuse_names_its_path(client: Client) -> None:
    answer = await (await client.get("/fail/misuse", headers=USER)).json()
    path = "rtpParameters.codecs.0.payloadType"
    assert answer["details"] == [{"path": path, "problem": "300 is no payload type"}]


async def test_a_bug_is_logged_whole_and_told_as_nothing(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = await client.get("/fail/bug", headers=USER)
    assert await code(response) == (500, "INTERNAL_ERROR")
    assert "secret detail" not in await response.text()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "a secret detail" in caplog.text
    assert record.exc_info is not None
    assert vars(record)["request_id"] == response.headers["X-Request-Id"]
    assert USER["Authorization"][7:] not in caplog.text


async def test_an_answer_that_has_begun_is_broken_off_and_not_mixed_with_another(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head("/break").replace(b"POST", b"GET"))
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"5\r\nbegun\r\n")  # and no last chunk
    writer.close()
    await writer.wait_closed()


async def test_an_unknown_url_and_a_wrong_method_have_the_same_body(client: Client) -> None:
    assert await code(await client.get("/nowhere", headers=USER)) == (404, "NOT_FOUND")
    response = await client.delete("/notes", headers=USER)
    assert await code(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"] == "POST"


async def test_what_is_no_refusal_of_ours_passes(client: Client) -> None:
    moved = await client.get("/fail/gone", headers=USER, allow_redirects=False)
    assert (moved.status, moved.headers["Location"]) == (302, "/elsewhere")
    assert (await client.get("/fail/teapot", headers=USER)).status == 409
