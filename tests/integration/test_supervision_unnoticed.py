"""A call with a listener is the same call: what its parties are told, what it costs, how it is rated and what is kept
of it are, byte by byte, those of a call without one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from contextlib import AsyncExitStack
from difflib import unified_diff
from typing import Any

from schemas.tariff import Tariff
from tests.conftest import Server, eventually, serving
from tests.conversation import OTOMO_HZ, USER_HZ
from tests.integration.listeners import ADMIN_HZ, listening, supervised
from tests.integration.paid_calls import MakeSettings, Scene, talking

TARIFF = Tariff(unit_seconds=2.0, unit_points=100, max_seconds=15)  # warned of between two units
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MEASURED = {"lossPercent", "jitterMs", "roundTripMs", "mos", "localAddress", "localPort", "remoteAddress", "remotePort"}
"""What differs between any two calls: it is measured, or not yet."""


async def story_of(server: Server, call_id: str, *, listened_to: bool) -> dict[str, Any]:
    """Everything that is said of a call while it lives and after its end."""
    async with AsyncExitStack() as stack:
        call, _ = await stack.enter_async_context(talking(server, call_id=call_id, tariff=TARIFF))
        if listened_to:
            await supervised(call.admin, call_id)
            listener = await stack.enter_async_context(listening(call.admin, call_id))
            await listener.party.send(ADMIN_HZ)
            await listener.hears(user=USER_HZ, otomo=OTOMO_HZ)
        await eventually(lambda: why_it_is_not_rated(call))
        said = {
            "producers": await call.admin.request("GET", f"/rtc/rooms/{call_id}/producers"),
            "live": shape(await call.admin.request("GET", f"/admin/calls/{call_id}")),
            "line": shape(await call.admin.request("GET", f"/admin/calls?userId={call.user.user_id}")),
        }
        await call.ends("max_duration")
        return said | await kept_of(call)


async def why_it_is_not_rated(call: Scene) -> str | None:
    """Both are heard, and how."""
    rated = (await call.admin.request("GET", f"/admin/calls/{call.call_id}"))["quality"]
    return None if len(rated) == 2 else f"{rated}"


async def kept_of(call: Scene) -> dict[str, Any]:
    told = {who.user_id: by_type(who.socket.told) for who in (call.user, call.otomo)}
    detail = await call.admin.request("GET", f"/calls/{call.call_id}")
    assert all(one["mos"] > 3.5 for one in detail["quality"])
    return {
        "told": told,
        "detail": detail,
        "billing": await call.user.api.request("GET", f"/calls/{call.call_id}/billing"),
        "usage": await call.user.api.request("GET", "/wallet/usage"),
    }


def by_type(told: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What was told, each kind in its order: charges and warnings have clocks of their own, and race with one another.
    Who is there is told of all otomos."""
    found = defaultdict[str, list[Any]](list)
    for one in told:
        if one["type"] != "otomo_status":
            found[one["type"]].append(one["payload"])
    return found


def shape(value: Any) -> Any:
    """What is there, without what grows from second to second: that is looked at when the call is over."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items() if name != "timeline"}
        case list():
            return [shape(inner) for inner in value]
        case bool() | str() | None:
            return value
        case _:
            return "number"


def same(value: Any, name: str = "") -> Any:
    """Without what is measured."""
    if name in MEASURED:
        return "measured"
    match value:
        case dict():
            return {inner_name: same(inner, inner_name) for inner_name, inner in value.items()}
        case list() | tuple():
            return [same(inner) for inner in value]
        case _:
            return value


def normalised(story: dict[str, Any], call_id: str) -> str:
    text = json.dumps(same(story), indent=1, sort_keys=True).replace(call_id, "CALL")
    ids = {found.group(): None for found in UUID.finditer(text)}
    for number, found in enumerate(ids):
        text = text.replace(found, f"ID {number}")
    return TIME.sub("TIME", text)


async def test_nobody_notices_that_somebody_listens(short: MakeSettings) -> None:
    async with serving(short(supervision=True, ending_warnings_s=(2,))) as server:
        alone = normalised(await story_of(server, "alone", listened_to=False), "alone")
        heard = normalised(await story_of(server, "heard", listened_to=True), "heard")
        different = [*unified_diff(alone.splitlines(), heard.splitlines(), "alone", "heard", lineterm="")]
        assert not different, "\n".join(different)
