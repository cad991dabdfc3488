"""How a call sounds, estimated from its network's loss and delay: the E-model of ITU-T G.107 (06/2015), narrowband.

``R = Ro - Is - Id - Ie,eff + A`` (§7.1), from 0 to 100. What does not depend on the network has its default value,
which makes 93.2 (§7.7). The advantage ``A`` is 0. Of the delay impairments only that of the pure delay counts, because
WebRTC's endpoints cancel their echo (RFC 7874 §5). Opus sounds better than this scale can express: the number shows how
much the network takes away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

R_OF_DEFAULTS = 93.2  # Ro - Is, at T = 0 (G.107 §7.7)
NOTICED_MS = 100.0  # mT: a delay that nobody notices
SENSITIVITY = 1.0  # sT

PACKET_MS = 20.0  # of sound in a packet, which has to be collected before it leaves (RFC 7587 §4.2)
LOOKAHEAD_MS = 6.5  # of libopus' encoder: 312 samples
BUFFERED_JITTERS = 2.0  # an adaptive jitter buffer's depth, in mean deviations of the transit time (RFC 3550 §6.4.1)


class Codec(NamedTuple):
    """``ie``: the impairment of the codec itself; ``bpl``: how well it bears packet loss."""

    ie: float
    bpl: float


# ITU-T G.113 has no values for Opus. At the bit rates of WebRTC listeners found it no worse than narrowband without a
# codec (the tests in draft-ietf-codec-results), so ie is 0. The robustness is that of the open source estimator
# rtcscore (github.com/ggarber/rtcscore), with concealment alone and with in-band FEC.
OPUS = Codec(ie=0.0, bpl=10.0)
OPUS_WITH_FEC = Codec(ie=0.0, bpl=20.0)


def r_factor(loss: float, delay_ms: float, codec: Codec = OPUS) -> float:
    """The transmission rating R, 0 to 100.

    :param loss: the part of the packets that did not arrive, 0 to 1, lost one by one and not in bursts.
    :param delay_ms: from the speaker's mouth to the listener's ear.
    """
    return max(0.0, R_OF_DEFAULTS - delay_impairment(delay_ms) - loss_impairment(loss, codec))


def mouth_to_ear_ms(round_trip_ms: float, jitter_ms: float) -> float:
    """The delay of one direction: half of the round trip, and what the endpoints add to it."""
    return PACKET_MS + LOOKAHEAD_MS + round_trip_ms / 2 + BUFFERED_JITTERS * jitter_ms


def delay_impairment(delay_ms: float) -> float:
    """Idd (G.107 §7.4): the impairment by the delay alone."""
    if delay_ms <= NOTICED_MS:
        return 0.0
    x = math.log2(delay_ms / NOTICED_MS)
    power = 6 * SENSITIVITY
    one, third = (math.pow(1 + math.pow(y, power), 1 / power) for y in (x, x / 3))
    return 25 * (one - 3 * third + 2)


def loss_impairment(loss: float, codec: Codec) -> float:
    """Ie,eff (G.107 §7.5) for random loss (BurstR = 1)."""
    percent = 100 * loss
    return codec.ie + (95 - codec.ie) * percent / (percent + codec.bpl)


def mos(r: float) -> float:
    """The mean opinion score of R, 1 to 4.5 (G.107 Annex B)."""
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)
