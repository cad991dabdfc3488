"""What became of one call, and whether it was charged for as many units as it lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voiceplane.loadtest.sink import PacketCounts

ASKED_FOR = "manual"  # the end reason of a party that hung up
DIED = "worker_died"
RECOVERY_S = 5.0  # after a worker was killed: a call may be refused in that time
UNPROVEN_S = 2.0  # of a call's end, which a node may not have seen when its worker dies: two sweeps


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
    packet_counts: list[PacketCounts] = field(default_factory=list)
    units_charged: int = 0

    @property
    def completed(self) -> bool:
        return self.fault is None and self.end_reason == ASKED_FOR

    def fail(self, fault: str, at: float) -> None:
        self.fault, self.ended_at = fault, at

    def was_cut(self, kills: Sequence[float]) -> bool:
        """Whether it ended as it did because a worker was killed. :param kills: when, by the loop's clock."""
        unlucky = any(self.opened_at - RECOVERY_S <= kill <= self.ended_at for kill in kills)
        return self.end_reason == DIED or (self.fault is not None and unlucky)

    def billable_units(self, unit_s: float) -> tuple[int, int]:
        """The call's billable units, at least and at most: the server's moments lie between two of ours."""
        if not self.connected_at or self.end_reason is None:
            return 0, 0
        surely_ended_at = self.hung_up_at if self.end_reason == ASKED_FOR else self.ended_at - UNPROVEN_S
        perhaps_ended_at = self.over_at if self.end_reason == ASKED_FOR else self.ended_at
        least = int(max(0.0, surely_ended_at - self.connected_at) / unit_s)
        return least, int((perhaps_ended_at - self.began_at) / unit_s)

    def units_wrong(self, unit_s: float) -> int:
        """Units charged and not billable, or billable and not charged."""
        least, most = self.billable_units(unit_s)
        return max(least - self.units_charged, self.units_charged - most, 0)
