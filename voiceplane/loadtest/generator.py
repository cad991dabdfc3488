"""The process that makes all calls' media: `python -m voiceplane.loadtest.generator FRAME_MS`, driven by `engine.py`.

Commands come as JSON lines on stdin, events go out as JSON lines on stdout. One thread and no event loop: a thousand
times a second it sends what is due, and reads what has come. A packet costs 1.4 µs in libsrtp and 4 µs in two system
calls. The process ends when its stdin does.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from voiceplane.loadtest.dtls import Fingerprint, Identity
from voiceplane.loadtest.errors import LegFailed
from voiceplane.loadtest.leg import Address, Credentials, Leg, State
from voiceplane.loadtest.pace import Pace
from voiceplane.loadtest.sink import NOTHING
from voiceplane.loadtest.voice import Stream

PACKETS_EVERY_S = 1.0
SETTLE_S = 0.5  # packets that are under way so long after the last one was sent are lost
STEP_EVERY_S = 0.02
READ_BYTES = 1 << 16

Message = dict[str, Any]


class Generator:
    """All legs by number; a leg that receives knows the leg that sends to it."""

    def __init__(self, say: Callable[[Message], None], frame_ms: int) -> None:
        self.identity = Identity()
        self._say = say
        self._frame_ms = frame_ms
        self._legs: dict[int, Leg] = {}
        self._by_descriptor: dict[int, Leg] = {}
        self._silent: dict[Leg, int] = {}  # receivers without a packet yet: since when, in ns of the wall clock
        self._settling: dict[Leg, float] = {}  # receivers whose sender has stopped: since when
        self._forwarded: Counter[int] = Counter()
        self._ended: Counter[str] = Counter()  # the counts of closed legs
        self._poll = select.epoll()
        self._pace = Pace(time.monotonic(), frame_ms)
        self._packets_at = self._steps_at = 0.0
        self._all_taken = True  # nothing waits in any socket
        self._rest = b""

    def run(self, commands: int) -> None:
        """Run until `commands`, a descriptor, ends."""
        self._poll.register(commands, select.EPOLLIN)
        while True:
            now = time.monotonic()
            if now < self._pace.next_at:
                time.sleep(self._pace.next_at - now)
            for leg in self._pace.due(time.monotonic()):
                leg.speak()
            if not self._take_what_came(commands):
                return
            self._do_due_work(time.monotonic())

    def _take_what_came(self, commands: int) -> bool:
        """Read what has come, until the next voice is due. Returns False at the end of the commands."""
        while came := self._poll.poll(0):
            for descriptor, _ in came:
                if (leg := self._by_descriptor.get(descriptor)) is not None:
                    self._read(leg)
                elif descriptor == commands and not self._obey(os.read(commands, READ_BYTES)):
                    return False
            if time.monotonic() >= self._pace.next_at:
                break
        self._all_taken = not came
        return True

    def close(self) -> None:
        for number in tuple(self._legs):
            self._close(number)
        self._poll.close()

    def _obey(self, came: bytes) -> bool:
        """Carry out all complete lines. Returns False at the end of the commands."""
        *lines, self._rest = (self._rest + came).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, f"_do_{command.pop('do')}")(**command)
        return bool(came)

    def _do_open(
        self,
        leg: int,
        address: list[Any],
        credentials: list[str],
        fingerprints: list[list[str]],
        stream: list[int] | None,
        hears: int | None,
    ) -> None:
        prints = [Fingerprint(*one) for one in fingerprints]
        try:
            made = Leg(leg, Address(*address), Credentials(*credentials), prints, self.identity)
        except OSError as error:
            self._say({"event": "failed", "leg": leg, "why": f"no socket can be had: {error.strerror}"})
            return
        made.stream = Stream(*stream) if stream is not None else None
        made.hears = self._legs.get(hears) if hears is not None else None
        self._legs[leg] = self._by_descriptor[made.fileno()] = made
        self._poll.register(made.fileno(), select.EPOLLIN)
        self._guarded(made, lambda: made.step(time.monotonic()))

    def _do_talk(self, legs: list[int]) -> None:
        """Let the senders begin: both ends are up. `legs` are those that receive."""
        for receiver in self._open(legs):
            self._silent[receiver] = time.time_ns()
            self._guarded(receiver, partial(self._let_speak, receiver))

    def _let_speak(self, receiver: Leg) -> None:
        self._pace.add(receiver.listen(self._forwarded, self._frame_ms))

    def _do_stop(self, legs: list[int]) -> None:
        """Stop the senders of `legs`; a `counts` event follows for each once all packets have arrived."""
        for receiver in self._open(legs):
            if receiver.hears is not None:
                self._pace.remove(receiver.hears)
            self._settling[receiver] = time.monotonic()

    def _do_close(self, legs: list[int]) -> None:
        for number in legs:
            self._close(number)

    def _do_count(self) -> None:
        behind = self._pace.behind
        histograms = {"forwarded": list(self._forwarded.items()), "behind": list(behind.items())}
        self._say({"event": "totals", "packets": self._packets(), **histograms})

    def _open(self, numbers: list[int]) -> list[Leg]:
        return [self._legs[number] for number in numbers if number in self._legs]

    def _close(self, number: int) -> None:
        leg = self._legs.pop(number, None)
        if leg is None:
            return
        self._ended.update(counts(leg))
        self._ended["dropped"] += leg.dropped  # read once, since it is a system call
        self._silent.pop(leg, None)
        self._settling.pop(leg, None)
        self._pace.remove(leg)
        self._poll.unregister(leg.fileno())
        del self._by_descriptor[leg.fileno()]
        leg.close()

    def _read(self, leg: Leg) -> None:
        was = leg.state
        self._guarded(leg, leg.read)
        if leg.state is not was and leg.state is State.OPEN:
            self._say({"event": "open", "leg": leg.number})

    def _guarded(self, leg: Leg, work: Callable[[], None]) -> None:
        """Report a leg that fails; it waits to be closed."""
        try:
            work()
        except LegFailed as error:
            leg.next_step_at = float("inf")
            self._say({"event": "failed", "leg": leg.number, "why": str(error)})

    def _do_due_work(self, now: float) -> None:
        for receiver, since_ns in tuple(self._silent.items()):
            if receiver.sink is not None and receiver.sink.received:
                del self._silent[receiver]
                first_ns = receiver.sink.first_ns
                ms = (first_ns - since_ns) / 1e6
                self._say({"event": "heard", "leg": receiver.number, "ms": ms, "at_ns": first_ns})
        for receiver, since in tuple(self._settling.items()):
            counts = receiver.sink.counts() if receiver.sink is not None else NOTHING
            if counts.lost <= 0 or (self._all_taken and now > since + SETTLE_S):
                del self._settling[receiver]
                last_ns = receiver.sink.last_ns if receiver.sink is not None else 0
                self._say({"event": "counts", "leg": receiver.number, "counts": counts, "last_ns": last_ns})
        if now >= self._steps_at:
            self._steps_at = now + STEP_EVERY_S
            for leg in tuple(self._legs.values()):
                if now >= leg.next_step_at:
                    self._guarded(leg, lambda leg=leg: leg.step(now))  # type: ignore[misc]
        if now >= self._packets_at:
            self._packets_at = now + PACKETS_EVERY_S
            self._say({"event": "packets", "packets": self._packets()})

    def _packets(self) -> Counter[str]:
        """All counts since the beginning; packets under way are counted as sent, and not yet as received."""
        counted = Counter(self._ended)
        for leg in self._legs.values():
            counted.update(counts(leg))
        return counted


def counts(leg: Leg) -> dict[str, int]:
    if leg.sink is None:
        return {"refused": leg.refused}
    return {"refused": leg.refused, "missing": leg.sink.missing, **leg.sink.counts()._asdict()}


def say(message: Message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends us in its own time
    generator = Generator(say, int(sys.argv[1]))
    say({"event": "ready", "fingerprint": generator.identity.fingerprint})
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        generator.run(sys.stdin.fileno())
    except BrokenPipeError:  # the driver has gone
        sys.stderr.close()
    finally:
        generator.close()


if __name__ == "__main__":
    main()
