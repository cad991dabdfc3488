"""What the server's record says of a call that only this machine can have caused."""

from __future__ import annotations

from voiceplane.loadtest.load_call import silent_s

SINCE, UNTIL = "2026-11-29T05:24:16.500Z", "2026-11-29T05:24:26.750Z"


def test_silences_count_and_lost_rooms_do_not():
    assert silent_s([]) == 0
    assert (
        silent_s(
            [
                {"reason": "no_rtp", "since": SINCE, "until": UNTIL},
                {"reason": "worker_died", "since": SINCE, "until": UNTIL},
                {"reason": "no_rtp", "since": SINCE, "until": UNTIL},
                {"reason": "no_rtp", "since": UNTIL, "until": None},
            ]
        )
        == 20.5
    )
