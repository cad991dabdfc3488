"""CORS over real sockets: who may read what, on every answer, and what a cache must know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.access.ratelimit import RateLimiter
from app.access.tokens import Authenticator, issue_token
from app.errors import RateLimited
from app.http.cors import Cors
from app.http.middleware import guard, public
from app.keys import AUTHENTICATOR, HTTP_OBSERVERS, RATE_LIMITER, SETTINGS
from app.settings import Settings
from tests.app.access.signed_tokens import SECRET

EDGE = Settings(jwt_secret=SECRET)
USER = {"Authorization": f"Bearer {issue_token(EDGE, 'ann', 'user', 600)}"}
OURS, OTHER = "https://www.example.com", "https://evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}

Client = TestClient[web.Request, web.Application]


async def answer(_request: web.Request) -> web.Response:
    return web.Response(text="hello", headers={"Vary": "Accept"})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write_eof(b"line by line")
    return response


async def bug(_request: web.Request) -> web.Response:
    raise KeyError("a secret detail")


async def too_often(_request: web.Request) -> web.Response:
    raise RateLimited(3)


@public
async def redirect(_request: web.Request) -> web.Response:
    raise web.HTTPFound("elsewhere")


@public
async def for_every_page(_request: web.Request) -> web.Response:
    return web.Response(headers={"Access-Control-Allow-Origin": "*"})


@web.middleware
async def nobody_comes_in(request: web.Request, handler: object) -> web.StreamResponse:
    if request.path == "/internal":
        raise web.HTTPForbidden
    return await handler(request)  # type: ignore[operator]


@asynccontextmanager
async def serving(*origins: str) -> AsyncIterator[Client]:
    cors = Cors(origins)
    app = web.Application(middlewares=[nobody_comes_in, cors.answer_preflights, guard])
    app.on_response_prepare.append(cors.allow)
    app[SETTINGS], app[RATE_LIMITER], app[HTTP_OBSERVERS] = EDGE, RateLimiter(0), []
    app.add_routes(
        [
            web.get("/hello", answer),
            web.get("/stream", stream),
            web.get("/bug", bug),
            web.get("/often", too_often),
            web.get("/redirect", redirect),
            web.get("/every", for_every_page),
        ]
    )
    async with Authenticator.open(EDGE) as app[AUTHENTICATOR], TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/hello", USER, 200),
        ("GET", "/stream", USER, 200),
        ("GET", "/redirect", {}, 302),
        ("GET", "/hello", {}, 401),
        ("GET", "/internal", {}, 403),
        ("GET", "/nowhere", USER, 404),
        ("POST", "/hello", USER, 405),
        ("GET", "/often", USER, 429),
        ("GET", "/bug", USER, 500),
    ],
)
async def test_a_page_reads_every_answer(method: str, path: str, headers: dict[str, str], status: int) -> None:
    async with serving(OURS, "https://other.example") as client:
        asked = {**headers, "Origin": OURS}
        async with client.request(method, path, headers=asked, allow_redirects=False) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == OURS
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert {"Retry-After", "ETag"} <= set(response.headers["Access-Control-Expose-Headers"].split(", "))
            assert "Origin" in response.headers.getall("Vary")


async def test_what_an_answer_varies_by_already_is_kept() -> None:
    async with serving(OURS) as client, client.get("/hello", headers=USER) as response:
        assert response.headers.getall("Vary") == ["Accept", "Origin"]


@pytest.mark.parametrize(
    "origin", [OTHER, "null", OURS.upper(), OURS + ":443", OURS + "/", "https://example.com", None]
)
async def test_pages_of_other_origins_read_nothing(origin: str | None) -> None:
    asked = {} if origin is None else {"Origin": origin}
    async with serving(OURS) as client:
        async with client.get("/hello", headers={**USER, **asked}) as response:
            assert response.status == 200
            assert not [name for name in response.headers if name.startswith("Access-Control")]
            assert "Origin" in response.headers.getall("Vary")  # or a cache would give it to our page
        async with client.options("/hello", headers={**PREFLIGHT, **asked}) as response:
            assert response.status == 401
            assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/hello", "/nowhere"])
async def test_a_preflight_needs_no_token_and_lasts_ten_minutes(path: str) -> None:
    async with serving(OURS) as client, client.options(path, headers={**PREFLIGHT, "Origin": OURS}) as response:
        assert (response.status, await response.text()) == (204, "")
        assert response.headers["Access-Control-Allow-Origin"] == OURS
        assert "DELETE" in response.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert response.headers["Access-Control-Max-Age"] == "600"


async def test_what_is_no_preflight_goes_its_way() -> None:
    async with serving(OURS) as client, client.options("/hello", headers={**USER, "Origin": OURS}) as response:
        assert response.status == 405
        assert response.headers["Access-Control-Allow-Origin"] == OURS


async def test_a_star_lets_all_read_but_never_with_credentials() -> None:
    async with serving("*") as client, client.get("/hello", headers={**USER, "Origin": OTHER}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Origin" not in response.headers.getall("Vary")


async def test_what_is_for_every_page_stays_so() -> None:
    async with serving(OURS) as client, client.get("/every", headers={"Origin": OTHER}) as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert "Access-Control-Allow-Credentials" not in response.headers
