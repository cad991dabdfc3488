"""What became of one call, and whether it was charged for as many units as it lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voiceplane.loadtest.moves import Kill, Move
from voiceplane.loadtest.sink import PacketCounts

ASKED_FOR = "manual"  # the end reason of a party that hung up
DIED = ("worker_died", "node_lost")
RECOVERY_S = 5.0  # after a kill: a call may be refused in that time
UNPROVEN_S = 2.0  # of a call's end, which a node may not have seen when its worker dies: two sweeps
UNSTORED_S = 2.0  # of what was talked, which dies with a node and costs nothing


@dataclass
class Outcome:
    """Times in milliseconds are None where the call did not come so far; moments are by the loop's clock."""

    call_id: str
    setup_ms: float | None = None  # from the first request until transports are up and consumers resumed
    first_rtp_ms: float | None = None  # from there to the first packet at both ends
    connected_ms: float | None = None  # from there to `call_connected` on both sockets
    opened_at: float = 0.0  # just before the first request
    began_at: float = 0.0  # just before the first packet
    connected_at: float = 0.0  # when the first of both got `call_connected`
    hung_up_at: float = 0.0
    over_at: float = 0.0  # when hanging up was answered
    ended_at: float = 0.0  # when `call_end` came, or it failed
    end_reason: str | None = None
    fault: str | None = None  # one sentence
    packet_counts: list[PacketCounts] = field(default_factory=list)  # of its last room
    lost_counts: list[PacketCounts] = field(default_factory=list)  # of rooms that were lost before
    moves: list[Move] = field(default_factory=list)
    silent_s: float = 0.0  # in which the server missed a party that had a room, and by its word nothing was talked
    duration_s: int | None = None  # by the server: whole seconds in which both were proven to talk
    units_charged: int = 0

    @property
    def completed(self) -> bool:
        return self.fault is None and self.end_reason == ASKED_FOR

    @property
    def went_on(self) -> bool:
        """Whether it lost a room, and ended as asked all the same."""
        return bool(self.moves) and self.completed

    def fail(self, fault: str, at: float) -> None:
        self.fault, self.ended_at = fault, at

    def was_cut(self, kills: Sequence[Kill]) -> bool:
        """Whether it ended as it did because its worker or node was killed."""
        unlucky = any(self.opened_at - RECOVERY_S <= kill.at <= self.ended_at for kill in kills)
        return self.end_reason in DIED or (self.fault is not None and unlucky)

    def talked_s(self) -> tuple[float, float]:
        """The seconds in which both could be proven to talk, at least and at most: the server's moments lie between
        two of ours, and it has not seen the last ones before a worker died, nor stored those before a node did."""
        if not self.connected_at or self.end_reason is None:
            return 0.0, 0.0
        least = most = 0.0
        surely_from: float | None = self.connected_at
        perhaps_from: float | None = self.began_at
        for move in self.moves:
            lost_at = move.kill.at if move.kill is not None else move.told_at
            unstored_s = UNSTORED_S if move.kill is not None and move.kill.of == "node" else 0.0
            least += _between(surely_from, lost_at - UNPROVEN_S - unstored_s)
            most += _between(perhaps_from, move.told_at)
            surely_from, perhaps_from = move.heard_at, move.talked_from
        asked = self.end_reason == ASKED_FOR
        least += _between(surely_from, self.hung_up_at if asked else self.ended_at - UNPROVEN_S)
        least = max(0.0, least - self.silent_s)
        return least, most + _between(perhaps_from, self.over_at if asked else self.ended_at)

    def billable_units(self, unit_s: float) -> tuple[int, int]:
        """The call's billable units, at least and at most: each needs a proof of both at or after its moment."""
        least, most = self.talked_s()
        proven_s = least - UNPROVEN_S if self.end_reason == ASKED_FOR else least
        return int(max(0.0, proven_s) / unit_s), int(most / unit_s)

    def units_wrong(self, unit_s: float) -> int:
        """Units charged and not billable, or billable and not charged: by our own clock, and by the server's."""
        bounds = [self.billable_units(unit_s)]
        if self.duration_s is not None:
            proven_s = max(0.0, self.duration_s - UNPROVEN_S)
            bounds.append((int(proven_s / unit_s), int((self.duration_s + 1) / unit_s)))
        charged = self.units_charged
        return max(0, *(max(least - charged, charged - most) for least, most in bounds))


def _between(since: float | None, until: float) -> float:
    """Seconds, if there are any; None never began."""
    return 0.0 if since is None else max(0.0, until - since)
