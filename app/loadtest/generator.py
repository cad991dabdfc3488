"""The process that makes the media of all calls: `python -m app.loadtest.generator`. The driver's side is `engine.py`.

Commands come as JSON lines on stdin, news go out as JSON lines on stdout. One thread and no event loop: a thousand
times a second it sends what is due, and takes what has come. Python pays 1.4 µs for libsrtp and 4 µs for the two system
calls of a packet; a second media server in its place would pay what the first one does.

The end of stdin is the end of everything here.
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
from typing import Any

from app.loadtest.dtls import Fingerprint, Identity
from app.loadtest.errors import LegFailed
from app.loadtest.leg import Address, Credentials, Leg, State
from app.loadtest.pace import Pace
from app.loadtest.sink import Sink, Tally
from app.loadtest.voice import Stream, Voice

TOTALS_EVERY_S = 1.0
SETTLE_S = 0.5  # what is under way for longer than that after the last packet was sent is lost
STEP_EVERY_S = 0.02
READ_BYTES = 1 << 16

Message = dict[str, Any]


class Generator:
    """All legs by number. A leg that hears names the one that it hears."""

    def __init__(self, say: Callable[[Message], None]) -> None:
        self.identity = Identity()
        self._say = say
        self._legs: dict[int, Leg] = {}
        self._by_descriptor: dict[int, Leg] = {}
        self._numbers: dict[Leg, int] = {}
        self._streams: dict[int, Stream] = {}
        self._heard_by: dict[int, int] = {}  # who hears: whom
        self._silent: dict[int, int] = {}  # sinks that have not heard anything yet: since when, by the wall clock
        self._settling: dict[int, float] = {}  # sinks whose voice has fallen silent: since when
        self._forwarded: Counter[int] = Counter()
        self._ended = Counter[str]()
        self._poll = select.epoll()
        self._pace = Pace(time.monotonic())
        self._totals_at = self._steps_at = 0.0
        self._rest = b""

    def run(self, commands: int) -> None:
        """Until `commands`, a descriptor, ends."""
        self._poll.register(commands, select.EPOLLIN)
        while True:
            now = time.monotonic()
            if now < self._pace.next_at:
                time.sleep(self._pace.next_at - now)
            for leg in self._pace.due(time.monotonic()):
                leg.speak()
            for descriptor, _ in self._poll.poll(0):
                if (readable := self._by_descriptor.get(descriptor)) is not None:
                    self._read(readable)
                elif descriptor == commands and not self._obey(os.read(commands, READ_BYTES)):
                    return
            self._look_around(time.monotonic())

    def close(self) -> None:
        for number in tuple(self._legs):
            self._close(number)
        self._poll.close()

    def _obey(self, came: bytes) -> bool:
        """Carry out all whole lines. False at the end of the commands."""
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
        made = Leg(
            Address(*address), Credentials(*credentials), [Fingerprint(*one) for one in fingerprints], self.identity
        )
        self._legs[leg], self._by_descriptor[made.fileno()], self._numbers[made] = made, made, leg
        self._poll.register(made.fileno(), select.EPOLLIN)
        if stream is not None:
            self._streams[leg] = Stream(*stream)
        if hears is not None:
            self._heard_by[leg] = hears
        self._guarded(made, lambda: made.step(time.monotonic()))

    def _do_talk(self, legs: list[int]) -> None:
        """Both ends of each voice are up: let it be heard. `legs` are those that hear."""
        for number in legs:
            ear, mouth = self._legs[number], self._legs[self._heard_by[number]]
            mouth.voice = Voice(self._streams[self._heard_by[number]], mouth.keys.ours)
            ear.sink = Sink(mouth.voice, ear.keys, self._forwarded)
            self._silent[number] = time.time_ns()
            self._pace.add(mouth)

    def _do_hush(self, legs: list[int]) -> None:
        """Let the voices that these legs hear fall silent; each is told of by a `tally` once all has arrived."""
        for number in legs:
            self._pace.remove(self._legs[self._heard_by[number]])
            self._settling[number] = time.monotonic()

    def _do_close(self, legs: list[int]) -> None:
        for number in legs:
            self._close(number)

    def _do_count(self) -> None:
        self._say(self._totals() | {"asked": True})

    def _close(self, number: int) -> None:
        leg = self._legs.pop(number, None)
        if leg is None:
            return
        self._ended.update(counts(leg))
        for known in (self._streams, self._heard_by, self._settling):
            known.pop(number, None)
        self._silent.pop(number, None)
        self._pace.remove(leg)
        self._poll.unregister(leg.fileno())
        del self._by_descriptor[leg.fileno()], self._numbers[leg]
        leg.close()

    def _read(self, leg: Leg) -> None:
        was = leg.state
        self._guarded(leg, leg.read)
        if leg.state is not was and leg.state is State.OPEN:
            self._say({"news": "open", "leg": self._numbers[leg]})

    def _guarded(self, leg: Leg, work: Callable[[], None]) -> None:
        """A leg that fails is told of, and waits to be closed."""
        try:
            work()
        except LegFailed as error:
            leg.next_step_at = float("inf")
            self._say({"news": "failed", "leg": self._numbers[leg], "why": str(error)})

    def _look_around(self, now: float) -> None:
        for number, since_ns in tuple(self._silent.items()):
            sink = self._legs[number].sink
            if sink is not None and sink.received:
                del self._silent[number]
                self._say({"news": "heard", "leg": number, "ms": (sink.first_ns - since_ns) / 1e6})
        for number in [one for one in self._settling if self._is_settled(one, now)]:
            del self._settling[number]
            self._say({"news": "tally", "leg": number, "tally": self._tally(number)})
        if now >= self._steps_at:
            self._steps_at = now + STEP_EVERY_S
            for leg in tuple(self._legs.values()):
                if now >= leg.next_step_at:
                    self._guarded(leg, lambda leg=leg: leg.step(now))  # type: ignore[misc]
        if now >= self._totals_at:
            self._totals_at = now + TOTALS_EVERY_S
            self._say(self._totals())

    def _is_settled(self, number: int, now: float) -> bool:
        return self._tally(number).lost <= 0 or now > self._settling[number] + SETTLE_S

    def _tally(self, number: int) -> Tally:
        sink = self._legs[number].sink
        return sink.tally() if sink is not None else Tally(0, 0, 0, 0, 0)

    def _totals(self) -> Message:
        """Everything since the beginning; packets under way are among the sent and not yet among the received."""
        counted = Counter(self._ended)
        for leg in self._legs.values():
            counted.update(counts(leg))
        return {
            "news": "totals",
            "packets": counted,
            "forwarded": list(self._forwarded.items()),
            "behind": list(self._pace.behind.items()),
        }


def counts(leg: Leg) -> dict[str, int]:
    own = {"refused": leg.refused, "dropped": leg.dropped}
    return own if leg.sink is None else {**own, "missing": leg.sink.missing, **leg.sink.tally()._asdict()}


def say(message: Message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends us in its own time
    generator = Generator(say)
    say({"news": "ready", "fingerprint": generator.identity.fingerprint})
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        generator.run(sys.stdin.fileno())
    except BrokenPipeError:  # the driver is no more
        sys.stderr.close()
    finally:
        generator.close()


if __name__ == "__main__":
    main()
