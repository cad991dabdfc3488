"""A worker for faults: it speaks the real bytes on descriptors 3 and 4, and misbehaves as its second argument says.

Run as ``fake_worker.py SCHEMA MODE [the arguments of a worker]``. Its modes are the functions at the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT, ROOT, MessageCodec

READS, WRITES = 3, 4
ELSEWHERE = "4711"  # the pid that a worker in another pid namespace has of itself
FAILURE, WRONG_SETTINGS = 3, 42  # exit codes
STRANGER = 999_999  # a request id that nobody has used

Message = dict[str, Any]


class Channel:
    """The worker's end of the pipes."""

    def __init__(self, schema: bytes) -> None:
        self._codec = MessageCodec(schema)
        self._encode = Codec(schema, ROOT, FRAME_LIMIT).encode
        self._reads = os.fdopen(READS, "rb")

    def requests(self) -> Iterator[Message]:
        """Until the other end is closed. A notification to the worker can only be WORKER_CLOSE: it ends this, too."""
        while prefix := self._reads.read(4):
            frame = prefix + self._reads.read(int.from_bytes(prefix, "little"))
            message = self._codec.decode(frame)
            if message["data_type"] == "Notification":
                return
            yield message["data"]

    def announce(self, handler_id: str = "") -> None:
        self._say("Notification", {"handler_id": handler_id or str(os.getpid()), "event": "WORKER_RUNNING"})

    def answer(self, request_id: int, **response: Any) -> None:
        self._say("Response", {"id": request_id, **response})

    def accept(self) -> None:
        for request in self.requests():
            self.answer(request["id"], accepted=True)

    def _say(self, kind: str, content: Message) -> None:
        os.write(WRITES, self._encode({"data_type": kind, "data": content}))


def accept(channel: Channel) -> None:
    channel.announce()
    channel.accept()


def refuse(channel: Channel) -> None:
    channel.announce()
    for request in channel.requests():
        channel.answer(request["id"], error="TypeError", reason="not today")


def neither(channel: Channel) -> None:
    """Answers that neither accept nor refuse."""
    channel.announce()
    for request in channel.requests():
        channel.answer(request["id"])


def strangers(channel: Channel) -> None:
    """An answer that nobody waits for, before each that somebody does."""
    channel.announce()
    for request in channel.requests():
        channel.answer(STRANGER, accepted=True)
        channel.answer(request["id"], accepted=True)


def stall(channel: Channel) -> None:
    """Hears everything, answers nothing."""
    channel.announce()
    for _ in channel.requests():
        pass


def deaf(channel: Channel) -> None:
    """Reads nothing, and does not see its channel close."""
    channel.announce()
    signal.pause()


def silent(_: Channel) -> None:
    """Never says that it is ready."""
    signal.pause()


def elsewhere(channel: Channel) -> None:
    """Ready under a pid that is not the one that its parent knows."""
    channel.announce(ELSEWHERE)
    channel.accept()


def garble(channel: Channel) -> None:
    """A frame of the right length with nothing right in it."""
    channel.announce()
    next(channel.requests())
    os.write(WRITES, (64).to_bytes(4, "little") + b"\xff" * 64)
    signal.pause()


def oversize(channel: Channel) -> None:
    """The start of a frame that is longer than any may be."""
    channel.announce()
    next(channel.requests())
    os.write(WRITES, (FRAME_LIMIT + 1).to_bytes(4, "little"))
    signal.pause()


def die(channel: Channel) -> None:
    """Ends without a word at the first request."""
    channel.announce()
    next(channel.requests())
    sys.exit(FAILURE)


def die_at_start(_: Channel) -> None:
    sys.exit(FAILURE)


def wrong_settings(_: Channel) -> None:
    sys.exit(WRONG_SETTINGS)


MODES: dict[str, Callable[[Channel], None]] = {
    mode.__name__: mode
    for mode in (
        accept,
        refuse,
        neither,
        strangers,
        stall,
        deaf,
        silent,
        elsewhere,
        garble,
        oversize,
        die,
        die_at_start,
        wrong_settings,
    )
}

if __name__ == "__main__":
    MODES[sys.argv[2]](Channel(Path(sys.argv[1]).read_bytes()))
