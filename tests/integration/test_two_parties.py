"""Two parties talk through the real worker, and what each hears is analysed."""

from __future__ import annotations

import asyncio

import pytest

from schemas.base import load
from schemas.stats import StreamStatistics, TransportStatistics
from tests.conversation import OTOMO_HZ, USER_HZ, conversation
from voiceplane.client.errors import NoMedia
from voiceplane.client.tone import FRAMES_PER_SECOND

FRAMES = 3 * FRAMES_PER_SECOND
ENOUGH = 0.95 * FRAMES
LATE_S = 10.0
UNDER_WAY = 15  # frames; what was in the jitter buffer and on the wire has arrived by then


async def test_each_party_hears_the_others_tone(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()
        to_otomo, to_user = await asyncio.gather(
            talk.otomo_hearing.receiver.count(FRAMES, within_s=LATE_S),
            talk.user_hearing.receiver.count(FRAMES, within_s=LATE_S),
        )
        assert to_otomo >= ENOUGH
        assert to_user >= ENOUGH
        assert talk.otomo_hearing.receiver.dominant_hz() == pytest.approx(USER_HZ, abs=2)
        assert talk.user_hearing.receiver.dominant_hz() == pytest.approx(OTOMO_HZ, abs=2)
        released = await call.user.cleanup(call.call_id)
    assert (released.transports, released.producers, released.consumers) == (4, 2, 2)


async def test_a_muted_party_is_not_heard_until_it_is_unmuted(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        receiver, other_receiver = talk.otomo_hearing.receiver, talk.user_hearing.receiver

        await call.user.pause_producer(talk.user_voice.producer_id)
        await talk.user_voice.tone.sent(talk.user_voice.tone.frames + UNDER_WAY)
        muted_at, other_at = receiver.frames, other_receiver.frames
        await talk.user_voice.tone.sent(talk.user_voice.tone.frames + FRAMES_PER_SECOND)
        assert receiver.frames == muted_at
        assert other_receiver.frames >= other_at + 0.8 * FRAMES_PER_SECOND  # the other direction goes on

        await call.user.resume_producer(talk.user_voice.producer_id)
        receiver.forget()
        await talk.otomo_hearing.heard(muted_at + FRAMES_PER_SECOND)
        assert receiver.dominant_hz() == pytest.approx(USER_HZ, abs=2)


async def test_a_paused_consumer_gets_no_sound(call):
    """Guards the other tests: sound comes with RTC-06, not from merely being there."""
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        await call.otomo.request("POST", f"/rtc/consumers/{talk.otomo_hearing.consumer_id}/pause")
        await talk.user_voice.tone.sent(talk.user_voice.tone.frames + UNDER_WAY)
        arrived = talk.otomo_hearing.receiver.frames
        with pytest.raises(NoMedia, match="ICE completed, DTLS connected"):
            await talk.otomo_hearing.heard(arrived + 1, within_s=1.0)


async def test_a_party_that_stops_sending_still_hears(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        talk.user.stop_sending()
        await talk.otomo_voice.tone.sent(talk.otomo_voice.tone.frames + UNDER_WAY)
        arrived = talk.otomo_hearing.receiver.frames
        assert await talk.user_hearing.receiver.count(FRAMES_PER_SECOND, within_s=LATE_S) >= 0.95 * FRAMES_PER_SECOND
        assert talk.otomo_hearing.receiver.frames == arrived


async def test_statistics_of_a_call_are_read_by_whoever_knows_their_declaration(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        media = (await call.user.request("GET", f"/calls/{call.call_id}"))["media"]
        for transport in media["transports"]:
            answer = await call.user.request("GET", f"/rtc/transports/{transport['transportId']}/stats")
            [stats] = load(TransportStatistics, answer).stats
            assert (stats.ice_state, stats.dtls_state) == ("completed", "connected")
            assert stats.ice_selected_tuple.local_port == answer["stats"][0]["iceSelectedTuple"]["localPort"] > 0
        answer = await call.user.request("GET", f"/rtc/producers/{talk.user_voice.producer_id}/stats")
        [sent] = load(StreamStatistics, answer).stats
        assert (sent.type, sent.mime_type) == ("inbound-rtp", "audio/opus")
        assert sent.packet_count == answer["stats"][0]["packetCount"] > 0
        answer = await call.otomo.request("GET", f"/rtc/consumers/{talk.otomo_hearing.consumer_id}/stats")
        assert [one.type for one in load(StreamStatistics, answer).stats] == ["outbound-rtp", "inbound-rtp"]
