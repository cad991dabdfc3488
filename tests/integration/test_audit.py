"""What admins do is written down, and read by admins alone: through the REST interface of a whole node."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from schemas.audit import AuditLine, AuditList
from schemas.base import load
from tests.integration.paid_calls import MakeSettings
from tests.integration.stage import Stage, staged
from voiceplane.client.errors import Refused

ADJUSTED = ("wallet.adjust", "user", "gift")  # by the stage, before each test


async def audit(stage: Stage, **asked: object) -> list[AuditLine]:
    page = load(AuditList, await stage.admin.request("GET", f"/admin/audit?{urlencode(asked)}"))
    assert all(line.admin_id == "root" for line in page.entries)
    return list(page.entries)


def short(line: AuditLine) -> tuple[str, str | None, str | None]:
    return line.action, line.call_id or line.user_id or line.subject, line.reason


async def test_what_is_done_to_calls_people_and_prices_is_written_down(stage: Stage) -> None:
    ask = stage.admin.request
    await stage.ring()
    await ask("POST", "/admin/calls/u_call/extend", {"seconds": 60})
    await ask("POST", "/admin/calls/u_call/end", {"reason": "苦情"})
    await ask("POST", "/admin/calls/u_call/end", {"reason": "again"})  # which ends nothing
    await ask("PUT", "/admin/rates/otomo", {"pricePerMinute": 50})
    await ask("PUT", "/admin/users/user/mallory/ban", {"reason": "spam"})
    await ask("DELETE", "/admin/users/user/mallory/ban")
    await ask("POST", "/admin/users/otomo/rin/revoke")
    lines = await audit(stage)
    assert [short(line) for line in reversed(lines)] == [
        ADJUSTED,
        ("call.extend", "u_call", None),
        ("call.end", "u_call", "苦情"),
        ("rate.set", "otomo", None),
        ("person.ban", "mallory", "spam"),
        ("person.unban", "mallory", None),
        ("person.revoke", "rin", None),
    ]
    details = {line.action: line.details for line in lines}
    assert details["call.extend"] == {"seconds": "60"}
    assert details["wallet.adjust"] == {"amount": "1000", "kind": "paid", "key": "user-first"}
    assert await audit(stage, callId="u_call", admin="root") == [one for one in lines if one.call_id]
    assert await audit(stage, action="rate.set") == [one for one in lines if one.action == "rate.set"]
    assert await audit(stage, admin="somebody") == []
    assert await audit(stage, **{"from": lines[0].at, "action": "person.revoke"}) == lines[:1]
    assert ADJUSTED not in map(short, await audit(stage, **{"from": "2999-01-01"}))


async def test_what_is_refused_may_be_written_down_and_what_is_unknown_is_not(stage: Stage) -> None:
    before = await audit(stage)
    for method, path, body, code in (
        ("POST", "/admin/calls/nowhere/end", {}, "CALL_NOT_FOUND"),
        ("POST", "/admin/calls/nowhere/refund", {"points": 1, "reason": "x", "idempotencyKey": "k"}, "CALL_NOT_FOUND"),
        ("DELETE", "/admin/webhooks/nowhere", {}, "WEBHOOK_NOT_FOUND"),
        ("PUT", "/admin/users/admin/chief/ban", {"reason": "x"}, "BAD_REQUEST"),
    ):
        with pytest.raises(Refused, match=code):
            await stage.admin.request(method, path, body)
    assert await audit(stage) == before


async def test_webhooks_and_drains_are_written_down(settings_with: MakeSettings) -> None:
    async with staged(settings_with(webhook_allow_private=True)) as stage:
        await webhooks_and_drains(stage)


async def webhooks_and_drains(stage: Stage) -> None:
    ask = stage.admin.request
    made = await ask("POST", "/admin/webhooks", {"url": "http://127.0.0.1:9/"})
    path = f"/admin/webhooks/{made['webhookId']}"
    await ask("PATCH", path, {"enabled": True})
    await ask("POST", f"{path}/rotate")
    await ask("POST", f"{path}/replay", {"from": "2026-01-31T12:00:00.000Z", "to": "2026-01-31T13:00:00.000Z"})
    await ask("DELETE", path)
    await ask("POST", "/admin/drain", {"mode": "wait"})
    await ask("DELETE", "/admin/drain")
    node = stage.server.ledger.node
    lines = list(reversed(await audit(stage)))[1:]
    assert [short(line)[:2] for line in lines] == [
        ("webhook.create", None),
        *((f"webhook.{done}", made["webhookId"]) for done in ("change", "rotate", "replay", "delete")),
        ("node.drain", node),
        ("node.undrain", node),
    ]


@pytest.mark.parametrize(
    "asked", [{"action": "nothing"}, {"from": "yesterday"}, {"limit": "0"}, {"cursor": "x"}, {"admin": "a b"}]
)
async def test_a_question_that_is_none_is_refused(stage: Stage, asked: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="400 BAD_REQUEST"):
        await audit(stage, **asked)


async def test_nobody_else_reads_it(stage: Stage) -> None:
    assert await stage.user.refused("GET", "/admin/audit") == (403, "FORBIDDEN")
