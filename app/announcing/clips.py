"""The clips that can be played: our own, and the files of a folder, whose names come first.

A file is read when it is asked for or listed, and again when it has changed, so that clips are added and replaced while
the node runs. What can't be played is kept with the reason. The sound of those that were played last stays in memory.
"""

from __future__ import annotations

import asyncio
import logging
import re
import stat
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.announcing.clip import MOST_BYTES, Clip, ClipError, read_clip
from app.errors import ClipNotFound

OWN = Path(__file__).with_name("sounds")
SUFFIXES = (".opus", ".ogg")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MOST_FILES = 500
KEPT_BYTES = 64 * 1024 * 1024  # of sound

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]
"""By which a file that has changed is known: inode, size, time of change in nanoseconds."""


class Listed(NamedTuple):
    """A file, and what it holds; ``problem`` is why it can't be played. ``own`` are those that come with us."""

    name: str
    path: Path
    own: bool
    size: int
    duration_ms: int | None = None
    channels: int | None = None
    problem: str | None = None


class Clips:
    """The clips by name. ``folder`` is the operator's, None where there is none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[Stamp, Listed]] = {}
        self._sounds: OrderedDict[Path, tuple[Stamp, Clip]] = OrderedDict()
        self._reading = asyncio.Lock()

    async def list(self) -> tuple[Listed, ...]:
        """All files, by name; those of one name that another one hides are left out."""
        async with self._reading:
            return await asyncio.to_thread(self._list)

    async def get(self, name: str) -> Clip:
        """Raises ClipNotFound, also where there is one that can't be played."""
        async with self._reading:
            return await asyncio.to_thread(self._get, name)

    def _list(self) -> tuple[Listed, ...]:
        found: dict[str, Listed] = {}
        for path, own in self._files():
            one = self._look_at(path, own=own)
            if one is None:
                continue
            before = found.setdefault(one.name, one)
            if before is not one and not own:
                problem = f"has the name of {before.path.name}"
                found[path.name] = one._replace(name=path.name, duration_ms=None, channels=None, problem=problem)
        return tuple(sorted(found.values()))

    def _get(self, name: str) -> Clip:
        if not NAME.fullmatch(name):
            raise ClipNotFound(name)
        folders = [(self._folder, False)] if self._folder else []
        for folder, own in (*folders, (OWN, True)):
            for suffix in SUFFIXES:
                path = folder / (name + suffix)
                one = self._look_at(path, own=own)
                if one is None:
                    continue
                if one.problem is not None:
                    raise ClipNotFound(name, one.problem)
                return self._sound(path, one)
        raise ClipNotFound(name)

    def _files(self) -> Iterator[tuple[Path, bool]]:
        """The operator's, then ours."""
        if self._folder is not None:
            try:
                files = sorted(path for path in self._folder.iterdir() if path.suffix in SUFFIXES)
            except OSError as error:
                logger.warning("the clips in %s can't be listed: %s", self._folder, error)
                files = []
            if len(files) > MOST_FILES:
                logger.warning("%s has %d clips: those after %d are left out", self._folder, len(files), MOST_FILES)
            yield from ((path, False) for path in files[:MOST_FILES])
        yield from ((path, True) for path in sorted(OWN.glob("*.opus")))

    def _look_at(self, path: Path, *, own: bool) -> Listed | None:
        """What is known of a file, or is found in it; None where there is none."""
        try:
            stamp = stamp_of(path)
        except FileNotFoundError:
            return None
        except (OSError, ClipError) as error:
            return self._refused(Listed(path.stem, path, own, 0), (0, 0, 0), why(error))
        before = self._known.get(path)
        if before is not None and before[0] == stamp:
            return before[1]
        listed = Listed(path.stem, path, own, stamp[1])
        try:
            clip = self._read(path, stamp)
        except (OSError, ClipError) as error:
            return self._refused(listed, stamp, why(error))
        listed = listed._replace(duration_ms=clip.duration_ms, channels=clip.channels)
        self._known[path] = stamp, listed
        return listed

    def _refused(self, listed: Listed, stamp: Stamp, problem: str) -> Listed:
        refused = listed._replace(problem=problem)
        if self._known.get(listed.path) != (stamp, refused):
            logger.warning("the clip %s can't be played: it %s", listed.path, problem)
            self._known[listed.path] = stamp, refused
        return refused

    def _sound(self, path: Path, listed: Listed) -> Clip:
        stamp, _ = self._known[path]
        kept = self._sounds.get(path)
        if kept is not None and kept[0] == stamp:
            self._sounds.move_to_end(path)
            return kept[1]
        try:
            return self._read(path, stamp)
        except (OSError, ClipError) as error:
            raise ClipNotFound(listed.name, why(error)) from error

    def _read(self, path: Path, stamp: Stamp) -> Clip:
        """Raises OSError, ClipError."""
        if not NAME.fullmatch(path.stem):
            raise ClipError("has a name with other characters than A-Z a-z 0-9 _ -, or a longer one than 64")
        if stamp[1] > MOST_BYTES:
            raise ClipError(f"has {stamp[1]} bytes, of {MOST_BYTES} at most")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:  # it has grown
            raise ClipError(f"has more than {MOST_BYTES} bytes")
        clip = read_clip(path.stem, data)
        self._sounds[path] = stamp, clip
        self._sounds.move_to_end(path)
        while len(self._sounds) > 1 and sum(one[0][1] for one in self._sounds.values()) > KEPT_BYTES:
            self._sounds.popitem(last=False)
        return clip


def stamp_of(path: Path) -> Stamp:
    """Raises OSError; ClipError for what is no plain file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ClipError("is no plain file")
    return found.st_ino, found.st_size, found.st_mtime_ns


def why(error: Exception) -> str:
    return str(error) if isinstance(error, ClipError) else f"can't be read: {error}"
