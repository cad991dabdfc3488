"""A leg's Ogg Opus file (RFC 7845) while it grows, page by page, so that what a crash leaves is a file but for its end.

Whoever writes one has it locked; who finds one that nobody has locked may finish it, or go on with it. Everything here
blocks, and is for a thread of its own.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from app.media import ogg
from app.media.opus import RATE, OpusHead, samples_of, tags
from app.recording.filling import FRAME, SILENCE

PRE_SKIP: Final = 312  # samples: by so much encoders delay (6.5 ms), and so much is not heard of the file's beginning
HEADERS: Final = 2  # pages (RFC 7845 §3)
MARGIN: Final = ogg.HEADER.size + ogg.MOST_SEGMENTS


class Busy(Exception):
    """Another process writes the file."""


class Damaged(Exception):
    """The file of that name has no headers: nothing can follow on it."""


class PageAt(NamedTuple):
    """Where a page lies in its file, and the position at its end, in samples."""

    at: int
    size: int
    granule: int
    serial: int
    sequence: int


class SpoolFile:
    """Made by :meth:`create` or :meth:`resume`, which lock it; ``close`` gives it free."""

    def __init__(self, path: Path, file: int, serial: int) -> None:
        """``file`` is a descriptor, which is this object's from now on."""
        self.path = path
        self._file = file
        self._serial = serial
        self._sequence = 0
        self._size = 0
        self.granule = 0  # at the end of the last page, in samples

    @classmethod
    def create(cls, path: Path, comments: Mapping[str, str]) -> SpoolFile:
        """A new file, which its owner alone can read. Raises OSError."""
        made = cls(path, _opened(path, os.O_CREAT | os.O_EXCL), zlib.crc32(path.name.encode()))
        try:
            _lock(made._file, path)
            head = OpusHead(channels=1, pre_skip=PRE_SKIP).packet()
            made._write([([head], 0, ogg.FIRST)])
            made._write([([tags("voiceplane", *(f"{name}={text}" for name, text in comments.items()))], 0, 0)])
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def resume(cls, path: Path) -> SpoolFile:
        """A file that somebody has left: what comes after its last whole page is cut off. Raises Busy, Damaged,
        OSError."""
        found = cls(path, _opened(path), 0)
        try:
            _lock(found._file, path)
            found._go_on_behind(_last_of(found._file, path))
        except BaseException:
            found.close()
            raise
        return found

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def append(self, packets: Sequence[bytes]) -> None:
        """Add whole packets, which follow on those that are there. Raises OSError, and then nothing is added."""
        self._write(_paged(packets, self.granule))

    def finish(self, samples: int) -> None:
        """End the stream, ``samples`` after its audible beginning: what is there beyond that is cut off, what is
        missing is silence. Raises OSError, after which it may be tried again."""
        end = samples + PRE_SKIP
        pages = _whole_pages(self._file)
        kept = [page for page in pages if page.granule < end]
        rest = pages[len(kept) : len(kept) + 1]  # the page that the end lies in
        packets: list[bytes] = []
        for page in (*([kept.pop()] if len(kept) > HEADERS else ()), *rest):
            packets += ogg.page_at(self._bytes_of(page), 0)[0].packets
        self._go_on_behind(kept[-1])
        at = self.granule
        for index, packet in enumerate(packets):
            at += samples_of(packet)
            if at >= end:
                del packets[index + 1 :]
                break
        packets += [SILENCE] * max(0, -((at - end) // FRAME))
        parts = _paged(packets or [SILENCE], self.granule)
        last, _, _ = parts[-1]
        self._write([*parts[:-1], (last, end, ogg.LAST)])
        os.fsync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _go_on_behind(self, last: PageAt) -> None:
        os.ftruncate(self._file, last.at + last.size)
        self._size = last.at + last.size
        self._serial, self._sequence, self.granule = last.serial, last.sequence + 1, last.granule

    def _write(self, pages: Sequence[tuple[Sequence[bytes], int, int]]) -> None:
        """Write pages, of packets, the position at their end and flags; all of them or none."""
        text = b"".join(
            ogg.page(packets, granule, self._serial, self._sequence + index, flags)
            for index, (packets, granule, flags) in enumerate(pages)
        )
        written = 0
        try:
            while written < len(text):
                written += os.pwrite(self._file, text[written:], self._size + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(text)
        self._sequence += len(pages)
        self.granule = pages[-1][1] if pages else self.granule

    def _bytes_of(self, page: PageAt) -> bytes:
        return os.pread(self._file, page.size, page.at)


def _paged(packets: Sequence[bytes], granule: int) -> list[tuple[Sequence[bytes], int, int]]:
    """The packets in pages of a second at most (RFC 7845 §6), behind the position ``granule``."""
    pages: list[tuple[Sequence[bytes], int, int]] = []
    begin, segments, began = 0, 0, granule
    for index, packet in enumerate(packets):
        more, end = len(packet) // ogg.SEGMENT + 1, granule + samples_of(packet)
        if index > begin and (segments + more > ogg.MOST_SEGMENTS or end - began > RATE):
            pages.append((packets[begin:index], granule, 0))
            begin, segments, began = index, 0, granule
        segments += more
        granule = end
    if packets:
        pages.append((packets[begin:], granule, 0))
    return pages


def _whole_pages(file: int) -> list[PageAt]:
    """The pages of a file up to the first one that is not whole; of the last one its checksum is looked at."""
    pages = list(_pages(file))
    while pages:
        last = pages[-1]
        try:
            ogg.page_at(os.pread(file, last.size, last.at), 0)
        except ogg.OggError:
            pages.pop()
        else:
            break
    return pages


def _last_of(file: int, path: Path) -> PageAt:
    pages = _whole_pages(file)
    if len(pages) < HEADERS:
        raise Damaged(path.name)
    return pages[-1]


def _pages(file: int) -> Iterator[PageAt]:
    length = os.fstat(file).st_size
    at = 0
    while at < length:
        head = os.pread(file, MARGIN, at)
        if len(head) < ogg.HEADER.size or not head.startswith(ogg.CAPTURE):
            return
        _, _, _, granule, serial, sequence, _, segments = ogg.HEADER.unpack_from(head)
        size = ogg.HEADER.size + segments + sum(head[ogg.HEADER.size : ogg.HEADER.size + segments])
        if at + size > length:
            return
        yield PageAt(at, size, granule, serial, sequence)
        at += size


def _opened(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"{path.name} is being written") from error


def seconds_of(granule: int) -> float:
    """How much of a file that ends at that position is heard."""
    return max(0, granule - PRE_SKIP) / RATE
