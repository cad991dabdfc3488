"""How webhooks are counted."""

from __future__ import annotations

from app.ledger.webhook_endpoints import disabled
from app.webhooks.standing import Standing
from tests.app.ledger.ledger_samples import START, credit
from tests.app.webhooks.receiver import always, receiving


async def test_endpoints_and_what_waits_for_them_are_counted(post):
    standing = Standing(post.ledger.webhooks)
    await standing.look()
    assert (standing.endpoints, standing.waiting) == ({}, 0)
    async with receiving(always(500)) as failing, receiving() as well:
        first = await post.endpoint(failing.url(), id="failing")
        await post.endpoint(well.url(), id="well")
        await post.endpoint(well.url("/off"), id="off")
        await credit(post.ledger, 1)
        await post.ledger.webhooks.change("off", disabled("admin", START))
        post.deliverer.wake()
        await post.until_settled(first, 1)
        await well.until(1)
        await standing.look()
        assert standing.endpoints == {"failing": 1, "well": 1, "disabled": 1}
        assert standing.waiting <= 2, "what waits for the one that is disabled does not count"
        assert standing.waiting >= 1
