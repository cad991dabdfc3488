"""Admins find calls by whose they are, when they were, how they ended and what was kept with them, and take them as a
file; parties say what they thought of them."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from app.ledger.steps import Opening
from app.ledger.values import NewCall
from app.openapi.document import Document
from schemas.call import CallState
from tests.integration.stage import Stage
from voiceplane.client.errors import Refused

MANY = 450  # calls: more than two pages
SEVENTEEN = {f"k{number}": "" for number in range(17)}


async def opened(stage: Stage, call_id: str, user_id: str = "ann", otomo_id: str = "kyo", **metadata: str) -> str:
    body = {"userId": user_id, "otomoId": otomo_id, "callId": call_id, "pricePerMinute": 0, "metadata": metadata}
    await stage.admin.request("POST", "/admin/calls", body)
    return call_id


async def ended(stage: Stage, call_id: str, *whose: str, **metadata: str) -> str:
    await opened(stage, call_id, *whose, **metadata)
    await stage.admin.request("POST", f"/admin/calls/{call_id}/end")
    return call_id


async def found(stage: Stage, query: str) -> list[str]:
    """The ids that a search finds, which its file has, too."""
    ids: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await stage.admin.request("GET", f"/admin/calls?{query}&limit=2&cursor={cursor}")
        ids += [call["callId"] for call in page["calls"]]
        cursor = page["nextCursor"]
    if query:
        assert [row["callId"] for row in await exported(stage, query)] == ids
    return ids


async def exported(stage: Stage, query: str = "") -> list[dict[str, str]]:
    headers = stage.server.headers("root", "admin")
    async with stage.http.get(stage.server.url(f"/admin/calls.csv?{query}"), headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/csv"
        assert "calls.csv" in response.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(await response.text(), newline="")))


async def refused(stage: Stage, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await stage.admin.request(method, path, body)
    return refusal.value.status, refusal.value.code


async def test_calls_are_found_by_all_that_is_asked_for(stage: Stage) -> None:
    await ended(stage, "first", "ann", "kyo", order="17")
    await ended(stage, "second", "bea", "kyo", order="17", shop="Ōsaka 梅田")
    await opened(stage, "third", "ann", "rin", order="18")
    assert await found(stage, "") == ["third"]
    assert await found(stage, "state=all") == ["third", "second", "first"]
    assert await found(stage, "state=live") == ["third"]
    assert await found(stage, "state=ended") == ["second", "first"]
    assert await found(stage, "state=matched") == ["third"]
    assert await found(stage, "userId=ann") == ["third", "first"]
    assert await found(stage, "userId=ann&state=ended") == ["first"]
    assert await found(stage, "otomoId=kyo") == ["second", "first"]
    assert await found(stage, "otomoId=kyo&userId=bea") == ["second"]
    assert await found(stage, "endReason=admin") == ["second", "first"]
    assert await found(stage, "endReason=manual") == []
    assert await found(stage, "metadata.order=17") == ["second", "first"]
    assert await found(stage, f"metadata.order=17&metadata.shop={quote('Ōsaka 梅田')}") == ["second"]
    assert await found(stage, "metadata.order=17&userId=ann") == ["first"]
    assert await found(stage, "metadata.order=1") == []
    await stage.admin.request("POST", "/admin/calls/third/end")


async def test_calls_are_found_by_the_time_of_their_opening(stage: Stage) -> None:
    await ended(stage, "call", order="1")
    call = await stage.admin.request("GET", "/admin/calls/call")
    at = datetime.fromisoformat(call["createdAt"])
    after = (at + timedelta(milliseconds=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert await found(stage, f"from={call['createdAt']}&to={after}") == ["call"]
    assert await found(stage, f"to={call['createdAt']}") == []
    assert await found(stage, f"from={after}") == []
    assert await found(stage, f"from={after}&metadata.order=1") == []
    in_tokyo = at.astimezone(datetime.strptime("+0900", "%z").tzinfo).isoformat()
    assert await found(stage, f"from={quote(in_tokyo)}&to={quote('2999-12-31T00:00:00+09:00')}") == ["call"]
    assert await found(stage, f"from={datetime.now(UTC):%Y-%m-%d}&metadata.order=1") == ["call"]


async def test_an_ended_call_in_the_list_has_its_record(stage: Stage) -> None:
    await ended(stage, "call", order="1")
    [line] = (await stage.admin.request("GET", "/admin/calls?state=ended"))["calls"]
    assert (line["worker"], line["flags"], line["mos"], line["talkSeconds"]) == (0, [], None, 0)
    assert (line["endReason"], line["metadata"]) == ("admin", {"order": "1"})


@pytest.mark.parametrize(
    "query",
    ["state=over", "from=yesterday", "to=2026-01-31T12:00:00", "userId=", "metadata.a%20b=1", "cursor=x", "limit=0"],
)
async def test_what_can_not_be_searched_is_refused(stage: Stage, query: str) -> None:
    assert await refused(stage, "GET", f"/admin/calls?{query}") == (400, "BAD_REQUEST")


async def test_a_file_is_for_admins_and_refused_like_anything_else(stage: Stage) -> None:
    assert await stage.user.refused("GET", "/admin/calls.csv") == (403, "FORBIDDEN")
    assert await refused(stage, "GET", "/admin/calls.csv?state=over") == (400, "BAD_REQUEST")


async def test_a_file_has_every_call_and_every_field(stage: Stage) -> None:
    assert await exported(stage) == []
    for number in range(MANY):
        new = NewCall(
            f"call-{number}", "ann", "kyo", 0, 1_800_000_000_000 + number, (CallState.MATCHED,), "test", False
        )
        await stage.server.ledger.open_call(Opening(new))
    await ended(stage, "said", note='of "three", 五\nlines', order="17")
    rows = await exported(stage)
    assert len(rows) == MANY + 1
    assert {row["callId"] for row in rows} == {"said", *(f"call-{number}" for number in range(MANY))}
    said = next(row for row in rows if row["callId"] == "said")
    told = await stage.admin.request("GET", "/calls/said")
    assert json.loads(said.pop("metadata")) == told["metadata"] == {"note": 'of "three", 五\nlines', "order": "17"}
    assert said == {name: "" if told[name] is None else str(told[name]) for name in said}
    document = json.loads(Document(stage.server.app.router).raw)
    assert [*said, "metadata"] == list(document["components"]["schemas"]["CallBody"]["properties"])


async def test_metadata_goes_with_a_call_that_rings(stage: Stage) -> None:
    asked = {"otomoId": "otomo", "callId": "u_call", "metadata": {"screen": "profile"}}
    await stage.user.api.request("POST", "/calls", asked)
    assert (await stage.otomo.api.request("GET", "/calls/u_call"))["metadata"] == {"screen": "profile"}
    assert (await stage.user.api.request("GET", "/calls"))["calls"][0]["metadata"] == {"screen": "profile"}
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    by_socket = {"otomoId": "otomo", "callId": "u_next", "metadata": {"screen": "list"}}
    await stage.user.socket.command("call_request", **by_socket)
    assert await found(stage, "metadata.screen=list") == ["u_next"]
    await stage.user.api.request("POST", "/calls/u_next/cancel")


@pytest.mark.parametrize(
    "metadata", [SEVENTEEN, {"k": "x" * 513}, {"": "x"}, {"a b": "x"}, {"k" * 65: "x"}, {"k": 1}, {"k": None}, []]
)
async def test_metadata_that_is_too_much_or_no_text_is_refused(stage: Stage, metadata: Any) -> None:
    body = {"userId": "ann", "otomoId": "kyo", "metadata": metadata}
    assert await refused(stage, "POST", "/admin/calls", body) == (400, "BAD_REQUEST")
    assert await found(stage, "state=all") == []


async def test_parties_say_what_they_thought_of_a_call(stage: Stage) -> None:
    said = {"score": 4, "tags": ["sound"], "comment": "また"}
    assert await stage.user.refused("POST", "/calls/u_call/feedback", said) == (404, "CALL_NOT_FOUND")
    await stage.ring()
    assert await stage.user.refused("POST", "/calls/u_call/feedback", said) == (409, "INVALID_CALL_STATE")
    await stage.user.api.request("POST", "/calls/u_call/cancel")
    assert await stage.user.refused("POST", "/calls/u_call/feedback", {"score": 6}) == (400, "BAD_REQUEST")
    assert await refused(stage, "POST", "/calls/u_call/feedback", said) == (403, "FORBIDDEN")
    kept = await stage.user.api.request("POST", "/calls/u_call/feedback", said)
    assert {name: kept[name] for name in kept if name != "at"} == {"userId": "user", "role": "user", **said}
    assert await stage.user.api.request("POST", "/calls/u_call/feedback", said) == kept
    again = {**said, "score": 1}
    assert await stage.user.refused("POST", "/calls/u_call/feedback", again) == (409, "INVALID_CALL_STATE")
    others = await stage.otomo.api.request("POST", "/calls/u_call/feedback", {"score": 5})

    assert (await stage.user.api.request("GET", "/calls/u_call"))["feedback"] == [kept]
    assert (await stage.otomo.api.request("GET", "/calls/u_call"))["feedback"] == [others]
    for path in ("/calls/u_call", "/admin/calls/u_call"):
        assert (await stage.admin.request("GET", path))["feedback"] == [kept, others]
