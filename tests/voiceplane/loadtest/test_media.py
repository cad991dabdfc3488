"""The generator's parts without a server: pace, checks, voices and sinks."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise

import pytest
from aioice import stun
from aiortc import rtp
from pylibsrtp import Policy, Session

from voiceplane.loadtest.dtls import SRTP_PROFILE, SrtpKeys
from voiceplane.loadtest.pace import BEHIND_BIN_S, FRAME_S, SLOT_S, SLOTS, Pace
from voiceplane.loadtest.reception import Receiving
from voiceplane.loadtest.rtcp import receiver_report, sender_report
from voiceplane.loadtest.sink import Sink
from voiceplane.loadtest.stun import binding_request, is_success
from voiceplane.loadtest.voice import Stream, Voice

KEY, OTHER_KEY = os.urandom(30), os.urandom(30)
STREAM = Stream(ssrc=1234, payload_type=111, mid_id=1, level_id=6, send_time_id=4)
MS = 1_000_000


def test_a_check_is_what_another_stack_reads_and_believes():
    request = binding_request("theirs:ours", "their password")
    message = stun.parse_message(request)  # which checks the fingerprint
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert {"USE-CANDIDATE", "ICE-CONTROLLING", "PRIORITY", "FINGERPRINT"} <= set(message.attributes)
    assert message.check_message_integrity(b"their password")
    assert not message.check_message_integrity(b"another password")


def test_only_a_success_is_an_answer():
    def answer(kind: stun.Class) -> bytes:
        return bytes(stun.Message(stun.Method.BINDING, kind))

    assert is_success(answer(stun.Class.RESPONSE))
    assert not is_success(answer(stun.Class.ERROR))
    assert not is_success(binding_request("theirs:ours", "their password"))
    assert not is_success(b"\x01\x01")


class Sender:
    """Stands for a leg where only its identity matters."""


def spoken(pace: Pace, until: float) -> list[tuple[float, Sender]]:
    """Who was due when, for somebody who is always on time."""
    found = []
    while pace.next_at <= until:
        at = pace.next_at
        found += [(at, sender) for sender in pace.due(at)]
    return found


def test_voices_are_spread_evenly_and_each_speaks_every_20_ms():
    pace, senders = Pace(0.0), [Sender() for _ in range(2 * SLOTS)]
    for sender in senders:
        pace.add(sender)
    found = spoken(pace, 10 * FRAME_S - SLOT_S / 2)
    assert len(found) == 10 * len(senders)
    assert set(Counter(round(at / SLOT_S) for at, _ in found).values()) == {2}
    moments = [at for at, sender in found if sender is senders[0]]
    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([FRAME_S] * 9)


def test_who_was_held_up_makes_up_for_it_gradually():
    pace, senders = Pace(0.0), [Sender() for _ in range(SLOTS)]
    for sender in senders:
        pace.add(sender)
    held_up_s = 5 * FRAME_S
    assert len(list(pace.due(held_up_s))) == SLOTS  # a frame of each, and not five
    missed = spoken(pace, 3 * held_up_s)
    assert max(Counter(at for at, _ in missed).values()) == 2  # twice as fast as usual
    assert SLOTS + len(missed) == pytest.approx(3 * held_up_s / SLOT_S, abs=1)  # and nothing was left out
    assert max(pace.behind) == pytest.approx(held_up_s / BEHIND_BIN_S, abs=1)


def test_a_voice_that_left_is_not_asked_again():
    pace, sender = Pace(0.0), Sender()
    pace.add(sender)
    pace.remove(sender)
    assert spoken(pace, FRAME_S) == []


def conversation() -> tuple[Voice, Sink, Counter[int]]:
    """A voice and a sink with one key between them, as if the server forwarded what it gets."""
    voice, forwarded = Voice(STREAM, KEY), Counter[int]()
    return voice, Sink(voice, SrtpKeys(OTHER_KEY, KEY), forwarded), forwarded


def test_packets_are_a_browsers():
    voice = Voice(STREAM, KEY)
    receiver = Session(Policy(KEY, Policy.SSRC_ANY_INBOUND, srtp_profile=SRTP_PROFILE))
    first, second = (receiver.unprotect(voice.next_packet(at_ns)) for at_ns in (0, 20 * MS))
    assert (first[1], second[1]) == (0x80 | 111, 111)  # the marker is on the first alone
    assert int.from_bytes(second[2:4], "big") - int.from_bytes(first[2:4], "big") == 1
    assert (int.from_bytes(second[4:8], "big") - int.from_bytes(first[4:8], "big")) % 2**32 == 960
    assert first[8:12] == (1234).to_bytes(4, "big")
    assert first[12:24].hex() == "bede0002" + "1030" + "609e" + "42000000"
    assert len(first) == 24 + 80


def test_what_arrives_is_counted_and_timed():
    voice, sink, forwarded = conversation()
    for number in range(200):
        at_ns = number * 20 * MS
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
    another = Voice(STREAM, KEY)
    sink.take(memoryview(voice.next_packet(0)), 0)
    sink.take(memoryview(another.next_packet(0)), 0)
    assert (sink.counts().strange, forwarded.total()) == (1, 1)


def test_a_key_that_is_not_the_senders_is_seen():
    voice = Voice(STREAM, KEY)
    sink = Sink(voice, SrtpKeys(KEY, OTHER_KEY), Counter())
    for _ in range(100):
        sink.take(memoryview(voice.next_packet(0)), 0)
    assert sink.counts().forged == 2  # one packet a second is decrypted


def test_reports_are_what_another_stack_reads():
    second = 10**9
    (sent,) = rtp.RtcpPacket.parse(sender_report(1234, 1_700_000_000 * second, 960, 5, 400))
    assert isinstance(sent, rtp.RtcpSrPacket)
    info = sent.sender_info
    assert (sent.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (1234, 960, 5, 400)
    assert info.ntp_timestamp >> 32 == 1_700_000_000 + 2_208_988_800

    receiving = Receiving()
    for sequence in (65534, 65535, 0, 3):  # 1 and 2 are missing
        receiving.packet(77, sequence, 2 * MS)
    receiving.sender_report(0x12345678, second)
    seen = receiving.report(3 * second)
    assert seen is not None
    (received,) = rtp.RtcpPacket.parse(receiver_report(1, seen))
    assert isinstance(received, rtp.RtcpRrPacket)
    (block,) = received.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost) == (77, 2 * 256 // 6, 2)
    assert (block.highest_sequence, block.jitter, block.lsr) == (65536 + 3, 0, 0x12345678)
    assert block.dlsr == pytest.approx(2 * 65536, abs=1)


def test_jitter_is_what_varies_under_way():
    receiving = Receiving()
    for number in range(1000):
        receiving.packet(77, number, (number % 2) * 10 * MS)
    seen = receiving.report(0)
    assert seen is not None
    assert seen.jitter == pytest.approx(480, abs=2)  # 10 ms at 48 kHz
    assert Receiving().report(0) is None
