"""A producer's packets a second, from counts that are taken once a second. Costs nothing per packet."""

from __future__ import annotations

from worker_bridge.rtp import MediaKind

VIDEO_FACTOR = 10  # times as many for video, whose pictures are many packets each
WINDOW_S = 3.0  # long enough that packets which a stalled network delivers at once are no flood


def most_packets(kind: MediaKind, of_sound: float) -> float:
    """Packets a second that one producer may send, where ``of_sound`` are a voice's; 0 is no limit."""
    return of_sound * (VIDEO_FACTOR if kind == "video" else 1)


class PacketRate:
    """The counts of one producer over the last seconds."""

    __slots__ = ("_counts",)

    def __init__(self, began: float) -> None:
        """``began``: a time before the first packet, in monotonic seconds."""
        self._counts = [(began, 0)]  # a short list takes a tenth of a deque's memory

    def after(self, count: int, at: float) -> float | None:
        """Packets a second over the last ``WINDOW_S``, or a little longer, up to this count; None before so long
        has passed."""
        counts = self._counts
        counts.append((at, count))
        while at - counts[1][0] >= WINDOW_S:
            del counts[0]
        began, before = counts[0]
        return (count - before) / (at - began) if at - began >= WINDOW_S else None
