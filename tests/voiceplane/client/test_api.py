"""Every way in which a server can fail its client ends in one error of ours, which says what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from voiceplane.client.api import Api
from voiceplane.client.errors import BadAnswer, Refused, Unreachable

REFUSAL = {
    "error": "BAD_REQUEST",
    "message": "リクエストが不正です。",
    "details": [{"path": "rtpParameters.codecs.0.payloadType", "problem": "must be 0 to 127"}],
}
ANSWERS = {
    "/html": web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html"),
    "/list": web.json_response([1]),
    "/nameless": web.json_response({"reason": "no"}, status=500),
    "/refused": web.json_response(REFUSAL, status=400),
    "/rtc/capabilities": web.json_response({"somethingElse": {}}),
}


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Whatever stands behind a wrong URL."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/hangs-up":
            assert request.transport is not None
            request.transport.close()
        if request.path == "/echo":
            return web.json_response({"type": request.headers.get("Content-Type"), "body": await request.text()})
        planned = ANSWERS.get(request.path, ANSWERS["/html"])
        return web.Response(status=planned.status, body=planned.body, headers=planned.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def api(server: TestServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as http:
        yield Api(http, str(server.make_url("/")), "a token")


async def test_a_refusal_says_what_was_wrong_where(api):
    with pytest.raises(
        Refused, match=r"400 BAD_REQUEST \(rtpParameters.codecs.0.payloadType: must be 0 to 127\)"
    ) as it:
        await api.request("POST", "/refused", {})
    assert (it.value.status, it.value.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/html", "not JSON"), ("/list", "not a JSON object"), ("/nameless", "names no error")],
)
async def test_what_does_not_speak_the_contract_is_said_to(api, path, problem):
    with pytest.raises(BadAnswer, match=problem):
        await api.request("GET", path)


async def test_a_missing_field_is_a_bad_answer(api):
    with pytest.raises(BadAnswer, match="rtpCapabilities"):
        await api.capabilities()


async def test_a_server_that_hangs_up_is_unreachable(api):
    with pytest.raises(Unreachable):
        await api.request("GET", "/hangs-up")


async def test_nobody_at_the_port_is_unreachable():
    async with aiohttp.ClientSession() as http:
        with pytest.raises(Unreachable, match="no answer from http://"):
            await Api(http, f"http://127.0.0.1:{unused_port()}", "a token").capabilities()


async def test_an_absent_body_has_no_content_type(api):
    assert await api.request("POST", "/echo") == {"type": None, "body": ""}
    assert await api.request("POST", "/echo", {"a": 1}) == {"type": "application/json", "body": '{"a":1}'}
