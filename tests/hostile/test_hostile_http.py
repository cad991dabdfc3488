"""Requests that are wrong before anybody reads a body: paths, methods, queries, tokens, framing down to the bytes."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import msgspec
import pytest

from app import logs
from app.http.body import MAX_BODY_BYTES
from tests.hostile.attacker import GOOD_AUDIO, PATIENT, STATUS_OF, Media, Scene, Victim

HOSTILE_IDS = (
    "%2F", "%2f..%2f..%2fetc%2fpasswd", "..%2F", "%00", "a%00b", "%0A", "%0d%0aX-Injected:%20yes", "%20", "%09", "%FF",
    "%C3%28", "%ED%A0%80", "%ED%BF%BF%ED%A0%80", "%F4%90%80%80", "%EF%BB%BF", "%E8%AA%9E", "%25", "%2500", "%", "%zz",
    "'%20or%201=1--", "%22", "%5C", "%7Bcall_id%7D", "*", "null", "0", "-1", "x" * 7000, "%E8%AA%9E" * 800, "a;b=c",
)  # fmt: skip

HOSTILE_CURSORS = (
    "x", "%00", "%ED%A0%80", "9" * 513, "..", "W10", "e30", "null", "MTIz", "%5B1%2C%22x%22%5D",
    *("NS5hAGI", "LTEuYQ", "MWU5LmE", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuYQ", "NS4", "LmE", "NS7_"),  # base 64 of nonsense
)  # fmt: skip

# Every route with an id in its path, and what an id of nothing is answered with.
BY_ID = (
    ("POST", "/rtc/transports/{}/connect", "TRANSPORT_NOT_FOUND"),
    ("POST", "/rtc/transports/{}/restart-ice", "TRANSPORT_NOT_FOUND"),
    ("GET", "/rtc/transports/{}/stats", "TRANSPORT_NOT_FOUND"),
    ("DELETE", "/rtc/transports/{}", "TRANSPORT_NOT_FOUND"),
    ("POST", "/rtc/producers/{}/pause", "PRODUCER_NOT_FOUND"),
    ("POST", "/rtc/producers/{}/resume", "PRODUCER_NOT_FOUND"),
    ("GET", "/rtc/producers/{}/stats", "PRODUCER_NOT_FOUND"),
    ("DELETE", "/rtc/producers/{}", "PRODUCER_NOT_FOUND"),
    ("POST", "/rtc/consumers/{}/resume", "CONSUMER_NOT_FOUND"),
    ("POST", "/rtc/consumers/{}/pause", "CONSUMER_NOT_FOUND"),
    ("GET", "/rtc/consumers/{}/stats", "CONSUMER_NOT_FOUND"),
    ("DELETE", "/rtc/rooms/{}/cleanup", "ROOM_NOT_FOUND"),
    ("GET", "/rtc/rooms/{}/producers", "ROOM_NOT_FOUND"),
    ("POST", "/calls/{}/accept", "CALL_NOT_FOUND"),
    ("POST", "/calls/{}/reject", "CALL_NOT_FOUND"),
    ("POST", "/calls/{}/cancel", "CALL_NOT_FOUND"),
    ("POST", "/calls/{}/end", "CALL_NOT_FOUND"),
    ("GET", "/calls/{}", "CALL_NOT_FOUND"),
    ("GET", "/calls/{}/billing", "CALL_NOT_FOUND"),
    ("POST", "/admin/calls/{}/end", "CALL_NOT_FOUND"),
)
GOOD_BODIES = {
    "connect": {"dtlsParameters": {"fingerprints": [{"algorithm": "sha-1", "value": ":".join(["00"] * 20)}]}}
}


async def test_ids_in_paths_may_be_anything(scene: Scene, victim: Victim) -> None:
    for method, path, missing in BY_ID:
        who = victim.admin if path.startswith("/admin") else victim.user
        body = GOOD_BODIES.get(path.rpartition("/")[2])
        for hostile in HOSTILE_IDS:
            answer = await who(method, path.format(hostile), body)
            unstorable = "BAD_REQUEST" if "%00" in hostile else missing
            assert answer.code in (missing, "NOT_FOUND", "METHOD_NOT_ALLOWED", unstorable), answer
            assert "X-Injected" not in answer.headers


async def test_user_ids_in_paths_are_user_ids_or_refused(victim: Victim) -> None:
    adjust = {"amount": 5, "reason": "x", "idempotencyKey": "y"}
    for hostile in HOSTILE_IDS:
        for method, path, body, name in (
            ("PUT", "/admin/rates/{}", {"pricePerMinute": 1}, "otomoId"),
            ("POST", "/admin/wallets/{}/adjust", adjust | {"idempotencyKey": hostile[:99].replace(" ", "_")}, "userId"),
        ):
            answer = await victim.admin(method, path.format(hostile), body)
            if answer.status != 200:
                assert answer.code in ("BAD_REQUEST", "NOT_FOUND"), answer
                assert answer.code == "NOT_FOUND" or answer.paths == [name], answer


async def test_queries_may_be_anything(victim: Victim) -> None:
    for path in ("/calls", "/wallet/usage"):
        for wrong in ("0", "-1", "201", "1e1", "1.0", "", "%00", "x", "%EF%BC%91", "9" * 5000, "%2B1", "%201"):
            (await victim.user("GET", f"{path}?limit={wrong}")).refused("BAD_REQUEST", "limit")
        for wrong in HOSTILE_CURSORS:
            (await victim.user("GET", f"{path}?cursor={wrong}")).refused("BAD_REQUEST", "cursor")
        (await victim.user("GET", f"{path}?limit=200&cursor=&nonsense=%00")).done()
    for query in ("callId=%00", "callId=x&callId=y", "%ED%A0%80=%FF", "x" * 7000):
        (await victim.user("GET", f"/rtc/capabilities?{query}")).done()


async def test_unknown_routes_and_methods_are_refused_in_our_words(victim: Victim, media: Media) -> None:
    for path in ("/rtc", "/rtc/", "/rtc/producers/", "/calls/", "/RTC/producers", "/rtc//producers", "/admin/x",
                 "/rtc/producers/../transports", "/%2e%2e/etc/passwd", "//evil.example/rtc/producers", "/calls/x/y",
                 f"/rtc/transports/{media.sender}", f"/rtc/transports/{media.sender}/"):  # fmt: skip
        for method in ("GET", "POST"):
            answer = await victim.user(method, path)
            assert answer.code in ("NOT_FOUND", "METHOD_NOT_ALLOWED"), answer
    for path in ("/rtc/producers", "/rtc/transports", "/rtc/consumers", f"/rtc/transports/{media.sender}/connect"):
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answer = (await victim.user(method, path)).refused("METHOD_NOT_ALLOWED")
            assert answer.headers["Allow"] == "POST"
    (await victim.user("DELETE", "/calls")).refused("METHOD_NOT_ALLOWED")


async def test_without_a_good_token_nothing_else_is_looked_at(scene: Scene, victim: Victim, media: Media) -> None:
    nobody = scene.attacker("nobody", "user")
    nobody.headers.clear()
    good = scene.server.token("user", "user")
    header, payload, signature = good.split(".")
    for token in ("Bearer", "Bearer ", f"Basic {good}", f"bearer{good}", f"Bearer {good}x", f"Bearer {good} {good}",
                  f"Bearer {header}.{payload}.", f"Bearer {header}..{signature}", "Bearer ...", "Bearer " + "x" * 7000,
                  "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer ÿ", f"Bearer\t{good}", "Bearer null"):  # fmt: skip
        for method, path in (
            ("POST", "/rtc/producers"),
            ("GET", "/calls"),
            ("POST", "/admin/drain"),
            ("GET", "/nowhere"),
        ):
            answer = (await nobody(method, path, b"\0" * 70_000, Authorization=token)).refused("UNAUTHORIZED")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    (await nobody("POST", "/rtc/producers", {})).refused("UNAUTHORIZED")


async def test_bodies_where_none_is_needed_are_ignored(victim: Victim, media: Media) -> None:
    for body in (b"{", b"\0\xff", b"[" * 60_000, b" " * MAX_BODY_BYTES):
        for content_type in ("application/json", "text/plain", ""):
            path = f"/rtc/producers/{media.producer}/pause"
            (await victim.user("POST", path, body, Content_Type=content_type)).done()
            (await victim.user("GET", "/rtc/capabilities", body, Content_Type=content_type)).done()
    (await victim.user("POST", path, b" " * (MAX_BODY_BYTES + 1))).refused("PAYLOAD_TOO_LARGE")


# Down to the bytes.


@pytest.fixture
def logs_of_a_node() -> Iterator[io.StringIO]:
    """Logging as ``serve`` configures it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger(logs.HTTP).removeFilter(logs.is_our_error)
    logging.captureWarnings(capture=False)


async def sent(scene: Scene, request: bytes, *, ends: bool = False) -> tuple[int, str, bytes] | None:
    """Send bytes, and with ``ends`` no more after them; status, content type and body of the answer, if one comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(scene.server.base.rpartition(":")[2]))
    try:
        async with asyncio.timeout(10):
            writer.write(request)
            if ends:
                writer.write_eof()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.lower().split("\r\n")
            headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
    except (ConnectionError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()
    return int(first.split()[1]), headers["content-type"], body


def request_line(scene: Scene, *headers: str, path: str = "/rtc/producers", who: str = "somebody") -> bytes:
    token = scene.server.token(who, "user")
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def chunked(body: bytes, size: int = 4096) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def test_a_body_in_chunks_of_no_announced_length_is_limited_all_the_same(scene: Scene) -> None:
    head = request_line(scene, "Content-Type: application/json", "Transfer-Encoding: chunked")
    produce = {"callId": "nobodys", "transportId": "0" * 8 + "-0000-4000-8000-" + "0" * 12, "kind": "audio"}
    good = msgspec.json.encode(produce | {"rtpParameters": GOOD_AUDIO})
    full = good + b" " * (MAX_BODY_BYTES - len(good))
    for body, size, code in (
        (good, 1, "ROOM_NOT_FOUND"),
        (good, 4096, "ROOM_NOT_FOUND"),
        (full, 1000, "ROOM_NOT_FOUND"),
        (full, 70_000, "ROOM_NOT_FOUND"),
        (full + b" ", 1000, "PAYLOAD_TOO_LARGE"),
        (full + b" ", 70_000, "PAYLOAD_TOO_LARGE"),
        (b"", 1000, "BAD_REQUEST"),
    ):
        answer = await sent(scene, head + chunked(body, size))
        assert answer is not None
        assert (answer[0], msgspec.json.decode(answer[2])["error"]) == (STATUS_OF[code], code)
    answer = await sent(scene, head + chunked(b" " * 5_000_000, 70_000))
    assert answer is None or answer[0] == 413  # the connection may be cut while we still send


@pytest.mark.usefixtures("logs_of_a_node")
async def test_bodies_that_end_early_or_are_badly_framed_are_refused_or_dropped(scene: Scene) -> None:
    for header, body, ends in (
        ("Content-Length: 100", b'{"callId":', True),
        ("Transfer-Encoding: chunked", b'a\r\n{"callId":', True),
        ("Transfer-Encoding: chunked", b"2\r\n{}garbage\r\n", False),
        ("Transfer-Encoding: chunked", b"zz\r\n", False),
    ):
        request = request_line(scene, "Content-Type: application/json", header) + body
        answer = await sent(scene, request, ends=ends)
        assert answer is None or answer[0] == 400, (request, answer)


@pytest.mark.parametrize("node_settings", [PATIENT | {"client_timeout_s": 0.2}])
async def test_nobody_is_waited_for_without_end(scene: Scene) -> None:
    for header, start in (("Content-Length: 100", b"{"), ("Transfer-Encoding: chunked", b"1\r\n{\r\n")):
        answer = await sent(scene, request_line(scene, "Content-Type: application/json", header) + start)
        assert answer is not None
        assert answer[0] == 400
        assert msgspec.json.decode(answer[2])["details"][0]["problem"].startswith("did not arrive within")


async def test_each_of_many_requests_in_one_breath_is_answered_for_itself(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(scene.server.base.rpartition(":")[2]))
    bodies = (b"{", b"{}", b'"x"', b"\0", b" " * (MAX_BODY_BYTES), b"{}")
    for body in bodies:
        writer.write(request_line(scene, "Content-Type: application/json", f"Content-Length: {len(body)}") + body)
    for _ in bodies:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 "), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert msgspec.json.decode(await reader.readexactly(length))["error"] == "BAD_REQUEST"
    writer.close()


BROKEN = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
    b"\0" * 100 + b"\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(5000)) + b"\r\n",
    b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://evil.example:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n",
)


async def test_what_is_no_http_is_refused_and_no_error_of_ours(logs_of_a_node: io.StringIO, scene: Scene) -> None:
    for request in BROKEN:
        answer = await sent(scene, request)
        assert answer is None or answer[0] in (400, 401, 404, 405, 414, 431), (request[:200], answer)
    assert logs_of_a_node.getvalue().count("\n") <= 3, "a stranger can fill the log"
