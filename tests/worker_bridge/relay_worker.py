"""A worker in front of the real one: it passes every byte on, and misbehaves at the one request that it is told of.

Run as ``relay_worker.py BINARY SCHEMA METHOD FAULT [the arguments of a worker]``: at the first request of that method
it does what the function of that name below does. So any object can be made as far as the step that goes wrong.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT, ROOT, MessageCodec

READS, WRITES = 3, 4
FAILURE = 3  # exit code

Message = dict[str, Any]


class Relay:
    def __init__(self, binary: str, schema: bytes, arguments: list[str]) -> None:
        self.codec = MessageCodec(schema)
        self._encode = Codec(schema, ROOT, FRAME_LIMIT).encode
        self._pid, self._to_worker, self._from_worker = _spawn(binary, arguments)
        self._writing = threading.Lock()
        self.muted = -1  # the request whose answer is not passed on

    def run(self, method: str, fault: Callable[[Relay, Message, bytes], None]) -> None:
        threading.Thread(target=self._answers, daemon=True).start()
        with os.fdopen(READS, "rb") as requests:
            for frame in frames(requests):
                message = self.codec.decode(frame)
                if message["data"].get("method") == method:
                    method = ""
                    fault(self, message["data"], frame)
                else:
                    self.ask(frame)
        self._to_worker.close()
        os.waitpid(self._pid, 0)

    def ask(self, frame: bytes) -> None:
        self._to_worker.write(frame)

    def say(self, frame: bytes) -> None:
        with self._writing:
            os.write(WRITES, frame)

    def answer(self, request_id: int, **response: Any) -> None:
        self.say(self._encode({"data_type": "Response", "data": {"id": request_id, **response}}))

    def end(self) -> None:
        os._exit(FAILURE)  # and with it the pipes by which the real worker lives

    def _answers(self) -> None:
        for frame in frames(self._from_worker):
            message = self.codec.decode(frame)
            if message["data_type"] == "Response" and message["data"]["id"] == self.muted:
                self.end()
            self.say(frame)


def frames(stream: BinaryIO) -> Iterator[bytes]:
    while prefix := stream.read(4):
        yield prefix + stream.read(int.from_bytes(prefix, "little"))


def _spawn(binary: str, arguments: list[str]) -> tuple[int, BinaryIO, BinaryIO]:
    worker_reads, we_write = os.pipe()
    we_read, worker_writes = os.pipe()
    far = [os.dup(end) for end in (worker_reads, worker_writes)]  # beyond 3 and 4, which they are moved to
    actions = [(os.POSIX_SPAWN_DUP2, far[0], READS), (os.POSIX_SPAWN_DUP2, far[1], WRITES)]
    pid = os.posix_spawn(binary, [binary, *arguments], os.environ, file_actions=actions)
    for end in (worker_reads, worker_writes, *far):
        os.close(end)
    return pid, os.fdopen(we_write, "wb", 0), os.fdopen(we_read, "rb", 0)


# ---------------------------------------------------------------- what goes wrong


def stall(_: Relay, __: Message, ___: bytes) -> None:
    """Hears it, and never answers."""


def garble(relay: Relay, _: Message, __: bytes) -> None:
    """Answers with a frame of the right length and nothing right in it."""
    relay.say((64).to_bytes(4, "little") + b"\xff" * 64)


def die_before(relay: Relay, _: Message, __: bytes) -> None:
    relay.end()


def die_after(relay: Relay, request: Message, frame: bytes) -> None:
    """Does it, and ends before it says so."""
    relay.muted = request["id"]
    relay.ask(frame)


def refuse(relay: Relay, request: Message, _: bytes) -> None:
    relay.answer(request["id"], error="Error", reason="not today")


def neither(relay: Relay, request: Message, _: bytes) -> None:
    """Answers, and neither accepts nor refuses."""
    relay.answer(request["id"])


FAULTS = {fault.__name__: fault for fault in (stall, garble, die_before, die_after, refuse, neither)}

if __name__ == "__main__":
    binary, schema, method, fault, *arguments = sys.argv[1:]
    Relay(binary, Path(schema).read_bytes(), arguments).run(method, FAULTS[fault])
