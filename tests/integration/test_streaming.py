"""What the parties of a real call say reaches whoever transcribes it, leg by leg, and follows the call."""

from __future__ import annotations

import pytest

from tests.app.streaming.receiver import receiving
from tests.app.streaming.sound import loud, pitch
from tests.conftest import eventually, serving
from tests.conversation import OTOMO_HZ, USER_HZ
from tests.integration.paid_calls import talking

WITHIN_HZ = 5.0


async def test_each_party_is_heard_on_a_connection_of_its_own_until_the_call_ends(short):
    async with receiving() as receiver:
        settings = short(audio_stream_url=receiver.url, audio_stream_token="a-token")
        async with serving(settings) as server, talking(server) as (made, _):
            legs = {role: await receiver.leg(role) for role in ("user", "otomo")}
            for role, hz in (("user", USER_HZ), ("otomo", OTOMO_HZ)):
                leg = legs[role]
                await eventually(lambda leg=leg: sum(loud(leg.frames)) < 100 and "too little is heard", 30.0)
                heard = [frame for frame, is_loud in zip(leg.frames, loud(leg.frames), strict=True) if is_loud]
                assert pitch(heard[10:90]) == pytest.approx(hz, abs=WITHIN_HZ)
                assert leg.headers["Authorization"] == "Bearer a-token"
                assert (leg.start["callId"], leg.start["userId"]) == ("call", made.user.user_id)
            await made.admin.request("POST", "/admin/calls/call/end")
            for leg in legs.values():
                await eventually(lambda leg=leg: not leg.over and "it goes on", 30.0)
                assert leg.texts[-1] == {"type": "end", "reason": "admin"}
        assert len(receiver.connections) == 2


async def test_a_receiver_that_is_not_there_holds_up_no_call(short):
    async with serving(short(audio_stream_url="ws://127.0.0.1:9/")) as server, talking(server) as (made, talk):
        await talk.heard(talk.user_hearing.receiver.frames + 50)

        async def uncounted() -> str | None:
            async with made.http.get(server.url("/metrics"), headers=server.headers("root", "admin")) as answer:
                told = await answer.text()
            lines = [one for one in told.splitlines() if one.startswith("voiceplane_audio_stream_connections_total")]
            return f"{lines}" if not any('"failed"' in one and float(one.split()[-1]) >= 2 for one in lines) else None

        await eventually(uncounted, 30.0)
        assert made.state == "talking"
