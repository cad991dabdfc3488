"""What arrives is held against what was sent: counted, timed, and told apart."""

from __future__ import annotations

import os
from collections import Counter

from voiceplane.loadtest.dtls import SrtpKeys
from voiceplane.loadtest.sink import Sink
from voiceplane.loadtest.voice import Stream, Voice

KEY, OTHER_KEY = os.urandom(30), os.urandom(30)
STREAM = Stream(ssrc=1234, payload_type=111, mid_id=1, level_id=6, send_time_id=4)
FRAME_MS = 60
MS = 1_000_000


def conversation() -> tuple[Voice, Sink, Counter[int]]:
    """A voice and a sink with one key between them, as if the server forwarded what it gets."""
    voice, forwarded = Voice(STREAM, KEY, FRAME_MS), Counter[int]()
    return voice, Sink(voice, SrtpKeys(OTHER_KEY, KEY), forwarded), forwarded


def test_what_arrives_is_counted_and_timed():
    voice, sink, forwarded = conversation()
    for number in range(200):
        at_ns = number * FRAME_MS * MS
        sink.take(memoryview(voice.next_packet(at_ns)), at_ns + 3 * MS)
        voice.sent += 1
    assert sink.counts()._asdict() == {"sent": 200, "received": 200, "repeated": 0, "strange": 0, "forged": 0}
    assert forwarded == {30: 200}


def test_what_is_missing_or_comes_twice_is_told_apart():
    voice, sink, _ = conversation()
    packets = [voice.next_packet(0) for _ in range(100)]
    voice.sent = 100
    for number in (*range(90), 0, 1, 99):
        sink.take(memoryview(packets[number]), 0)
    counts = sink.counts()
    assert (counts.received, counts.lost, counts.repeated, sink.missing) == (91, 9, 2, 9)


def test_what_nobody_sent_is_strange():
    voice, sink, forwarded = conversation()
    another = Voice(STREAM, KEY, FRAME_MS)
    sink.take(memoryview(voice.next_packet(0)), 0)
    sink.take(memoryview(another.next_packet(0)), 0)
    assert (sink.counts().strange, forwarded.total()) == (1, 1)


def test_a_key_that_is_not_the_senders_is_seen():
    voice = Voice(STREAM, KEY, FRAME_MS)
    sink = Sink(voice, SrtpKeys(KEY, OTHER_KEY), Counter())
    for _ in range(100):
        sink.take(memoryview(voice.next_packet(0)), 0)
    assert sink.counts().forged == 2  # of fifty packets one is decrypted
