"""Who reads which recording now: a player asks for one part after the other, and is one reader."""

from __future__ import annotations

from app.clock import now

GOES_ON_S = 600.0  # after a part


class Readings:
    """On this node."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}  # monotonic times of parts, by admin and recording

    def goes_on(self, admin_id: str, file_id: str, *, beginning: bool) -> bool:
        """Whether an admin who asks for a part is reading the recording already; the part counts. One who asks for its
        ``beginning`` reads it anew."""
        at = now().monotonic
        self._last = {one: last for one, last in self._last.items() if at - last < GOES_ON_S}
        known = (admin_id, file_id) in self._last and not beginning
        self._last[admin_id, file_id] = at
        return known
