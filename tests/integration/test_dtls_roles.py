"""DTLS handshakes in which the worker is the client, and in which it is the server (RFC 5763 §5).

A worker built on an OpenSSL with kernel TLS, without the correction of our build, dies in the first handshake in which
it is the client, and in no other.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.conversation import OTOMO_HZ, USER_HZ, conversation
from voiceplane.client.tone import FRAMES_PER_SECOND

FRAMES = FRAMES_PER_SECOND


@pytest.mark.parametrize(("ours", "workers"), [("server", "client"), ("client", "server")])
async def test_media_flows_in_both_directions_with_the_worker_as_dtls(call, ours, workers):
    async with conversation(call.user, call.otomo, call.call_id, dtls_role=ours) as talk:
        await talk.heard()
        roles = [role for party in (talk.user, talk.otomo) for role in party.dtls_roles()]
        assert roles == [ours] * 4, f"the worker was to be DTLS {workers} on all four transports"
        arrived = await asyncio.gather(
            talk.otomo_hearing.receiver.count(FRAMES, within_s=10),
            talk.user_hearing.receiver.count(FRAMES, within_s=10),
        )
        assert min(arrived) >= 0.95 * FRAMES
        assert talk.otomo_hearing.receiver.dominant_hz() == pytest.approx(USER_HZ, abs=5)
        assert talk.user_hearing.receiver.dominant_hz() == pytest.approx(OTOMO_HZ, abs=5)
