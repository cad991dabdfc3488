"""The pages for browsers and the demo's identities, from outside: who gets what, with which headers, and when not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from app.rest.demo import POINTS
from app.settings import Settings
from app.web import build
from tests.conftest import Server, serving


@pytest.fixture
async def node(settings_with: Callable[..., Settings]) -> AsyncIterator[Server]:
    async with serving(settings_with(demo="on")) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_pages_are_public_and_may_load_only_their_own(node, http):
    for path in ("/admin/", "/demo", "/admin/assets/mark.svg", "/demo/assets/base.css"):
        async with http.get(node.url(path)) as answer:
            assert answer.status == 200, path
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-cache"


async def test_a_public_page_opens_no_endpoint_beside_it(node, http):
    for path in (
        "/admin/workers",
        "/admin/series",
        "/admin/calls",
        "/admin/calls/assets",
        "/admin/drain",
        "/admin/assets",
    ):
        async with http.get(node.url(path)) as answer:
            assert answer.status == 401, path


async def test_a_page_that_did_not_change_is_not_sent_again(node, http):
    async with http.get(node.url("/admin/")) as first:
        known = first.headers["ETag"]
    async with http.get(node.url("/admin/"), headers={"If-None-Match": known}) as again:
        assert (again.status, await again.read()) == (304, b"")


async def test_the_client_is_for_any_page_and_its_content_has_a_name_for_ever(node, http):
    build.build(lambda _: None)
    async with http.get(node.url("/client/voiceplane.js")) as newest:
        assert (newest.status, newest.content_type) == (200, "text/javascript")
        assert newest.headers["Cache-Control"] == "no-cache"
        assert newest.headers["Access-Control-Allow-Origin"] == "*"
        named, module = newest.headers["Content-Location"], await newest.read()
    async with http.get(node.url(f"/client/{named}")) as same:
        assert (same.status, await same.read()) == (200, module)
        assert same.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    async with http.get(node.url(f"/client/{named}.map")) as mapped:
        assert "src/voiceplane.ts" in json.loads(await mapped.read())["sources"]
    for path in ("/client/other.js", "/client/0123456789abcdef/voiceplane.js", "/client/%2e%2e/stamp", "/client/stamp"):
        async with http.get(URL(node.url(path), encoded=True)) as answer:
            assert answer.status in {401, 404}, path


async def test_whoever_comes_without_a_path_is_led_to_the_first_page(node, http, settings_with, tmp_path):
    async with http.get(node.url("/")) as answer:
        assert (answer.status, answer.url.path) == (200, "/demo")
    async with (
        serving(settings_with(demo="off", data_dir=tmp_path / "other")) as other,
        http.get(other.url("/"), allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (302, "docs")


async def test_the_dashboard_without_its_slash_leads_to_it(node, http):
    async with http.get(node.url("/admin")) as answer:
        assert (answer.status, answer.url.path) == (200, "/admin/")


@pytest.mark.parametrize(
    "name", ["nothing.js", "build.py", "..%2fbuild.py", "%2e%2e", "..%2fpackage.json", ".css", "index.html"]
)
async def test_no_other_file_is_an_asset(node, http, name):
    for page in ("admin", "demo"):
        async with http.get(URL(node.url(f"/{page}/assets/{name}"), encoded=True)) as answer:
            assert answer.status in {401, 404}
            assert (await answer.json())["error"] in {"NOT_FOUND", "UNAUTHORIZED"}


async def test_a_demo_pair_has_points_once_and_tokens_that_are_accepted(node, http):
    user = await session(http, node, party="user")
    otomo = await session(http, node, party="otomo", pair=user["pair"])
    assert (user["userId"], user["otomoId"]) == (otomo["userId"], otomo["otomoId"])
    assert user["userId"].startswith("demo-")
    again = await session(http, node, party="user", pair=user["pair"])
    assert user["balance"] == again["balance"] == POINTS
    headers = {"Authorization": f"Bearer {again['token']}"}
    async with http.get(node.url("/wallet/balance"), headers=headers) as answer:
        assert (await answer.json())["balance"] == POINTS


@pytest.mark.parametrize(
    ("body", "path"), [({}, "party"), ({"party": "admin"}, "party"), ({"party": "user", "pair": "alice/../x"}, "pair")]
)
async def test_a_demo_session_is_of_a_pair_of_demo_users_only(node, http, body, path):
    async with http.post(node.url("/demo/session"), json=body) as answer:
        assert answer.status == 400
        assert [detail["path"] for detail in (await answer.json())["details"]] == [path]


async def test_demo_sessions_are_rationed_per_address(node, http):
    statuses = []
    for _ in range(12):
        async with http.post(node.url("/demo/session"), json={"party": "user", "pair": "thesameone"}) as answer:
            statuses.append((answer.status, answer.headers.get("Retry-After")))
    assert (429, "1") in statuses
    assert statuses[0] == (201, None)


@pytest.mark.parametrize("settings", [{"demo": "off"}, {}], ids=["switched off", "secret given"])
async def test_a_demo_that_is_off_is_not_there(settings_with, http, settings):
    async with serving(settings_with(**settings)) as node:
        for method, path in (("GET", "/demo"), ("GET", "/demo/assets/demo.css"), ("POST", "/demo/session")):
            async with http.request(method, node.url(path), json={"party": "user"}) as answer:
                assert (answer.status, (await answer.json())["error"]) == (404, "NOT_FOUND")


async def test_a_demo_that_nobody_switched_on_is_for_this_machine_alone(settings_with, http):
    async with serving(settings_with(jwt_secret=None)) as node:
        assert (await session(http, node, party="user"))["balance"] == POINTS


FROM_ELSEWHERE = (
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP"),
    *("CF-Ray", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "X-Envoy-External-Address"),
    *("X-Original-URL", "X-Original-Forwarded-For", "X-Amzn-Trace-Id", "Fly-Client-IP", "X-ProxyUser-Ip"),
)


async def test_a_proxy_and_a_foreign_name_do_not_open_a_demo_that_nobody_switched_on(settings_with, http):
    async with serving(settings_with(jwt_secret=None)) as node:
        for method, path in (("GET", "/demo"), ("GET", "/demo/assets/demo.css"), ("POST", "/demo/session")):
            for header in FROM_ELSEWHERE:
                answer = await http.request(method, node.url(path), headers={header: "x"}, json={"party": "user"})
                assert answer.status == 404, (path, header)
            for host in (
                "evil.example",
                "voice.example.com:8080",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "10.0.0.1",
            ):
                answer = await http.request(method, node.url(path), headers={"Host": host}, json={"party": "user"})
                assert answer.status == 404, (path, host)
        async with http.get(node.url("/"), headers={"X-Real-IP": "192.0.2.1"}, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "docs"
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:65535", "[::1]:8080", "demo.localhost"):
            assert (await http.get(node.url("/demo"), headers={"Host": host})).status == 200, host


async def test_what_speaks_http_1_0_is_taken_for_a_proxy(settings_with):
    async with serving(settings_with(jwt_secret=None)) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(node.base.rpartition(":")[2]))
        writer.write(b"GET /demo HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b" 404 " in await reader.readline()
        writer.close()


async def test_a_demo_that_was_switched_on_is_for_everybody(node, http):
    headers = {"Host": "voice.example.com", "X-Forwarded-For": "192.0.2.1"}
    assert (await http.get(node.url("/demo"), headers=headers)).status == 200


async def session(http: aiohttp.ClientSession, node: Server, **body: Any) -> dict[str, Any]:
    async with http.post(node.url("/demo/session"), json=body) as answer:
        assert answer.status == 201, await answer.text()
        return dict(await answer.json())
