"""How long both parties of a call were there: the clock by which a call's length and price are measured.

It runs while both are proven to be there, and is stopped while the call is interrupted. It counts monotonic seconds;
from process to process it goes as a number of milliseconds.
"""

from __future__ import annotations

from app.clock import Moment


class TalkClock:
    """Stopped at ``talked_s`` until it is started."""

    __slots__ = ("_since", "_talked_s")

    def __init__(self, talked_s: float = 0.0) -> None:
        self._talked_s = talked_s
        self._since: Moment | None = None

    @property
    def runs(self) -> bool:
        return self._since is not None

    @property
    def since(self) -> Moment | None:
        """Since when it runs; None while it stands."""
        return self._since

    def start(self, at: Moment) -> None:
        """Run from that moment on. Where it runs already, nothing changes."""
        if self._since is None:
            self._since = at

    def stop(self, at: float) -> None:
        """Stop as of that moment: what it has counted since does not count."""
        self._talked_s, self._since = self.talked_at(at), None

    def talked_at(self, at: float) -> float:
        """Seconds talked by a moment; never fewer than when it last began to run."""
        return self._talked_s + (max(0.0, at - self._since.monotonic) if self._since is not None else 0.0)

    def talked_ms_at(self, at: float) -> int:
        return round(1000 * self.talked_at(at))

    def reaches(self, talked_s: float) -> float | None:
        """When so many seconds have been talked; None while it is stopped."""
        return None if self._since is None else self._since.monotonic + talked_s - self._talked_s
