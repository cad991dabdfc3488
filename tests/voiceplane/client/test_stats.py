"""What was counted in a word: the share of what did not arrive since the last look, not since the beginning."""

from __future__ import annotations

import pytest

from voiceplane.client.stats import CallStats, QualityWord, heard_since


def counted(received: int, lost: int = 0, jitter_ms: float = 0.0) -> CallStats:
    return CallStats(packets_received=received, packets_lost=lost, jitter_ms=jitter_ms)


@pytest.mark.parametrize(
    ("later", "word"),
    [
        (counted(1050), "excellent"),
        (counted(1049, 1), "good"),
        (counted(1046, 4), "fair"),
        (counted(1030, 20), "poor"),
        (counted(1050, 0, 300.0), "poor"),
        (counted(1000), "lost"),
    ],
)
def test_loss_and_delay_take_the_sound_away(later, word):
    found, mos = heard_since(counted(1000, 0), later)
    assert found == word
    assert (mos is None) == (word == "lost")


def test_reports_of_all_transports_are_one():
    reports = [
        {"type": "outbound-rtp", "packetsSent": 10, "bytesSent": 900},
        {"type": "inbound-rtp", "packetsReceived": 8, "packetsLost": 2, "jitter": 480},
        {"type": "remote-inbound-rtp", "roundTripTime": 0.03},
        {"type": "transport"},
    ]
    assert CallStats.of(reports, ("a", "b")) == CallStats(10, 900, 8, 2, 10.0, 30.0, ("a", "b"))
    assert CallStats.of([], ()) == CallStats()


def test_a_word_has_to_come_twice_but_for_silence():
    word = QualityWord()
    told = [one for one in ("good", "good", "fair", "good", "fair", "fair", "lost", "good") if word.take(one)]
    assert told == ["good", "fair", "lost", "good"]
