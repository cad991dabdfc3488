"""The driver's side of the generator process: starts it, opens legs in it, and receives what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self, TypeVar

from voiceplane.loadtest.dtls import Fingerprint
from voiceplane.loadtest.errors import GeneratorGone, LegFailed
from voiceplane.loadtest.leg import Address, Credentials
from voiceplane.loadtest.sink import PacketCounts
from voiceplane.loadtest.voice import Stream
from worker_bridge.environment import for_program

ANSWERS_WITHIN_S = 30.0
GOES_WITHIN_S = 10.0
LINE_BYTES = 1 << 22

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Totals:
    """Counted since the beginning. `forwarded`: packets by the time that they were under way; `behind`: the generator's
    slots by how late they were; both in tenths of a millisecond, as of the last `Engine.count`."""

    packets: Counter[str] = field(default_factory=Counter)
    forwarded: Counter[int] = field(default_factory=Counter)
    behind: Counter[int] = field(default_factory=Counter)


class Heard(NamedTuple):
    """The first packet at a receiver: milliseconds after `talk`, and the kernel's stamp in nanoseconds."""

    ms: float
    at_ns: int


class LegHandle:
    """One transport in the generator, with a future for each event that is still to come of it.

    `last_ns` is the kernel's stamp of the last packet, once the packets are counted; 0 where none came.
    """

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.opened: asyncio.Future[None] = loop.create_future()
        self.heard: asyncio.Future[Heard] = loop.create_future()
        self.packets_counted: asyncio.Future[PacketCounts] = loop.create_future()
        self.last_ns = 0

    def fail(self, error: Exception) -> None:
        for one in (self.opened, self.heard, self.packets_counted):
            if not one.done():
                one.set_exception(error)
                one.exception()  # marks it as seen, even where nobody waits

    def cancel(self) -> None:
        for one in (self.opened, self.heard, self.packets_counted):
            one.cancel()


class Engine:
    """The generator process. `fingerprint` is its certificate's; the packets of `totals` are counted every second."""

    def __init__(self, process: Process) -> None:
        self.pid = process.pid
        self.fingerprint = Fingerprint("", "")
        self.totals = Totals()
        self._process = process
        self._legs: dict[int, LegHandle] = {}
        self._next = 0
        self._ready = asyncio.Event()
        self._counted = asyncio.Event()
        self._gone = False

    @classmethod
    @asynccontextmanager
    async def running(cls, frame_ms: int) -> AsyncIterator[Self]:
        """A generator of such frames, until the block is left. Raises GeneratorGone where it does not start."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voiceplane.loadtest.generator", str(frame_ms)),
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES,
            env=for_program(),
        )
        engine = cls(process)
        listening = asyncio.create_task(engine._listen(), name="generator's events")
        try:
            await _answered(engine._ready.wait())
            engine._require_running()
            yield engine
        finally:
            await engine._end_process()
            await listening

    def open(
        self,
        address: Address,
        credentials: Credentials,
        fingerprints: Sequence[Fingerprint],
        *,
        stream: Stream | None = None,
        hears: LegHandle | None = None,
    ) -> LegHandle:
        """Begin ICE and DTLS of one transport; its `opened` is done when they are through, or fails with LegFailed."""
        self._require_running()
        self._next += 1
        leg = self._legs[self._next] = LegHandle(self._next)
        self._command(
            "open",
            leg=leg.number,
            address=address,
            credentials=credentials,
            fingerprints=fingerprints,
            stream=stream,
            hears=hears and hears.number,
        )
        return leg

    def talk(self, legs: Sequence[LegHandle]) -> None:
        """Let these legs' senders begin."""
        self._command("talk", legs=[leg.number for leg in legs])

    async def stop(self, legs: Sequence[LegHandle]) -> list[PacketCounts]:
        """Stop these legs' senders. Returns each direction's packets, once none is under way any more."""
        self._command("stop", legs=[leg.number for leg in legs])
        return list(await _answered(asyncio.gather(*(leg.packets_counted for leg in legs))))

    def close(self, legs: Sequence[LegHandle]) -> None:
        """Close the transports' sockets."""
        self._command("close", legs=[leg.number for leg in legs])
        for leg in legs:
            leg.cancel()
            self._legs.pop(leg.number, None)

    async def count(self) -> None:
        """Renew all of `totals` now."""
        self._require_running()
        self._counted.clear()
        self._command("count")
        await _answered(self._counted.wait())
        self._require_running()

    def _command(self, command: str, **arguments: Any) -> None:
        if self._process.stdin is not None and not self._gone:
            self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")

    def _require_running(self) -> None:
        if self._gone:
            raise GeneratorGone("the generator of the media has ended")

    async def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        async for line in self._process.stdout:
            self._handle(json.loads(line))
        self._gone = True
        self._ready.set()
        self._counted.set()
        for leg in self._legs.values():
            leg.fail(GeneratorGone("the generator of the media has ended"))

    def _handle(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "ready", "fingerprint": fingerprint}:
                self.fingerprint = Fingerprint(*fingerprint)
                self._ready.set()
            case {"event": "packets", "packets": packets}:
                self.totals = replace(self.totals, packets=Counter(packets))
            case {"event": "totals", "packets": packets, "forwarded": forwarded, "behind": behind}:
                self.totals = Totals(Counter(packets), Counter(dict(forwarded)), Counter(dict(behind)))
                self._counted.set()
            case {"leg": number} if number in self._legs:
                self._update_leg(self._legs[number], event)

    def _update_leg(self, leg: LegHandle, event: dict[str, Any]) -> None:
        match event:
            case {"event": "open"} if not leg.opened.done():
                leg.opened.set_result(None)
            case {"event": "heard", "ms": ms, "at_ns": at_ns} if not leg.heard.done():
                leg.heard.set_result(Heard(ms, at_ns))
            case {"event": "counts", "counts": counts, "last_ns": last_ns} if not leg.packets_counted.done():
                leg.last_ns = last_ns
                leg.packets_counted.set_result(PacketCounts(*counts))
            case {"event": "failed", "why": why}:
                leg.fail(LegFailed(why))

    async def _end_process(self) -> None:
        """Close its stdin, which ends it; kill it where it does not end in time."""
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.close()
        try:
            async with asyncio.timeout(GOES_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        finally:
            with contextlib.suppress(ProcessLookupError):
                await self._process.wait()


async def _answered(answer: Awaitable[Result]) -> Result:
    """Raises GeneratorGone where the answer takes too long."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await answer
    except TimeoutError as error:
        raise GeneratorGone(f"the generator of the media did not answer within {ANSWERS_WITHIN_S:.0f} s") from error
