"""The balancer sends what is asked of a transport, producer or consumer to the node that has it."""

from __future__ import annotations

from types import SimpleNamespace

import aiohttp
import pytest

from app.cluster.middleware import ANSWERED_BY
from tests.cluster.member import Members
from tests.cluster.service import NAMES, Service
from tests.conftest import eventually
from voiceplane.client.api import Api
from voiceplane.loadtest import offer

CALLS = 6
FINGERPRINT = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}

pytestmark = pytest.mark.timeout(120)


class Answers(aiohttp.TraceConfig):
    """``nodes`` are those that have answered, each by the beginning of its ids, with what they were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[tuple[str, str]] = []
        self.on_request_end.append(self._note)

    async def _note(self, _: aiohttp.ClientSession, __: SimpleNamespace, ended: aiohttp.TraceRequestEndParams) -> None:
        self.nodes.append((ended.response.headers[ANSWERED_BY], f"{ended.method} {ended.url.path}"))


async def test_objects_are_asked_for_where_they_are(member: Members) -> None:
    answers = Answers()
    async with Service.running(member) as service, aiohttp.ClientSession(trace_configs=[answers]) as http:
        root = service.api(http)

        async def some_node_has_not_answered() -> str | None:
            capabilities.update(await root.capabilities())
            found = {node for node, _ in answers.nodes}
            return None if len(found) == len(NAMES) else f"answers are of {found}"

        capabilities: offer.Json = {}
        await eventually(some_node_has_not_answered)
        for number in range(CALLS):
            await root.open_call(f"call-{number}", f"user-{number}", f"otomo-{number}")
            user, otomo = (service.api(http, f"{role}-{number}", role) for role in ("user", "otomo"))
            answers.nodes.clear()
            ids = await objects_of(f"call-{number}", user, otomo, capabilities)
            [owner] = {one[:4] for one in ids}
            elsewhere = [(node, asked) for node, asked in answers.nodes if node != owner]
            assert [asked for _, asked in elsewhere if asked != "POST /rtc/transports"] == []


async def objects_of(call_id: str, user: Api, otomo: Api, capabilities: offer.Json) -> list[str]:
    """The ids of what was made and asked for: transports, a producer and its consumer."""
    sending, receiving = await user.create_transport(call_id, "send"), await otomo.create_transport(call_id, "recv")
    for api, transport in ((user, sending), (otomo, receiving)):
        await api.connect_transport(transport.transport_id, {"role": "client", "fingerprints": [FINGERPRINT]})
    parameters = offer.rtp_parameters(offer.stream(capabilities), "user")
    producer_id = await user.produce(call_id, sending.transport_id, "audio", parameters)
    consumer = await otomo.consume(call_id, receiving.transport_id, producer_id, capabilities)
    await otomo.resume_consumer(consumer.consumer_id)
    for path in (f"producers/{producer_id}", f"transports/{sending.transport_id}"):
        await user.request("GET", f"/rtc/{path}/stats")
    return [sending.transport_id, receiving.transport_id, producer_id, consumer.consumer_id]
