"""A wall clock that can be set while a process looks at it: libfaketime in front of the system's, by a file that it
reads again and again. The monotonic clock is the machine's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HOUR_S = 3600
SEEN_WITHIN_S = 1  # the file is read once in so long


class SteppedClock:
    """``file`` holds the offset. A process that is started in ``environment`` sees the clock that it says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": str(SEEN_WITHIN_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        """So many seconds from the machine's own time, within SEEN_WITHIN_S."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self._file)


def library() -> Path:
    """The shared library in the package of that name, which need not be imported for it."""
    found = find_spec("libfaketime")
    assert found is not None, "make setup-test installs it"
    return Path(str(found.origin)).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
