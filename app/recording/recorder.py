"""One call while it is recorded on this node: packets come in on the event loop, and leave once a second for the thread
that writes them. Knows no ledger.

Nothing that goes wrong with a file touches the call. What can't be written leaves a silence, and the next second is
tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.calls.call import LiveCall
from app.clock import Moment
from app.media.opus import RATE
from app.recording.leg import Arrived, Leg
from app.recording.spool import Busy, Damaged, SpoolFile
from schemas.recording import RecordingState
from schemas.types import PartyRole

MAX_WAITING: Final = 6000  # packets of a leg that wait for the ledger, or a slow disk: two minutes
PARTIES: Final[tuple[PartyRole, PartyRole]] = ("user", "otomo")
NOT_WRITTEN = (OSError, Busy, Damaged)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is whole; ``size`` is in bytes."""

    duration_ms: int
    size: int


@dataclass(slots=True, eq=False)
class LegFile:
    """A leg and its file; used in the writing thread alone. ``began`` is ``connectedAt`` in monotonic seconds;
    ``error`` is why the file can't be written now."""

    id: str
    path: Path
    comments: Mapping[str, str]
    began: float
    error: str | None = None
    _file: SpoolFile | None = None
    _leg: Leg | None = None

    def write(self, arrived: list[Arrived], until: float) -> None:
        """Write down what has come, and what belongs before ``until``. Raises nothing: see ``error``."""
        try:
            file = self._opened()
            leg = self._leg = self._leg or Leg(self.began, file.granule)
            row = leg.take(arrived, until)
            if row:
                try:
                    file.append(row)
                except OSError:
                    leg.written = file.granule  # what was lost with it becomes silence
                    raise
        except NOT_WRITTEN as error:
            self.error = problem_of(error)
        else:
            self.error = None

    def finish(self, until: float) -> Written | None:
        """End the file at that moment. Returns None where that failed: it may be tried again by whoever finds it."""
        samples = max(0, round((until - self.began) * RATE))
        try:
            file = self._opened()
            file.finish(samples)
            return Written(round(samples * 1000 / RATE), file.size)
        except NOT_WRITTEN as error:
            self.error = problem_of(error)
            return None
        finally:
            self.close()

    def close(self) -> None:
        """Give the file free, as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> SpoolFile:
        if self._file is None:
            there = self.path.exists()
            self._file = SpoolFile.resume(self.path) if there else SpoolFile.create(self.path, self.comments)
        return self._file


@dataclass(slots=True, eq=False)
class Recorder:
    """``paused`` is whether packets are dropped, ``stored`` what the ledger knows of that; ``files`` are there once the
    call is connected and they are stored. ``slot`` is when in each second it is written, ``writing`` whether the thread
    has some of it now."""

    call: LiveCall
    paused: bool = False
    stored: RecordingState = "recording"
    ended_at: Moment | None = None
    files: dict[PartyRole, LegFile] = field(default_factory=dict)
    begun: bool = False  # whether somebody sees to its files
    slot: int = 0
    writing: bool = False
    dropped: int = 0  # packets for which there was no place
    stop: Callable[[], None] = lambda: None
    _arrived: dict[PartyRole, list[Arrived]] = field(default_factory=lambda: {party: [] for party in PARTIES})

    def hear(self, party: PartyRole, packet: bytes, at: float) -> None:
        """A packet has come. This is all that is done for each."""
        if not self.paused:
            arrived = self._arrived[party]
            if len(arrived) < MAX_WAITING:
                arrived.append((packet, at))
            else:
                self.dropped += 1

    def collect(self, until: float) -> Batch:
        """What is to be written now, up to that moment in monotonic seconds."""
        arrived, self._arrived = self._arrived, {party: [] for party in PARTIES}
        return Batch(until, [(file, arrived[party]) for party, file in self.files.items()])


@dataclass(frozen=True, slots=True)
class Batch:
    """What one recorder has to write, for the writing thread."""

    until: float
    legs: list[tuple[LegFile, list[Arrived]]]

    def write(self) -> None:
        for file, arrived in self.legs:
            file.write(arrived, self.until)

    def finish(self) -> list[Written | None]:
        """Write, and end the files here."""
        self.write()
        return [file.finish(self.until) for file, _ in self.legs]

    def leave(self) -> None:
        """Write, and leave the files to whoever goes on with them."""
        self.write()
        for file, _ in self.legs:
            file.close()


def problem_of(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{error} is damaged" if isinstance(error, Damaged) else str(error)
