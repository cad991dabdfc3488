"""The process that decodes and sends, as it is: what a receiver gets, and what becomes of a slow or broken one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.streaming import process as process_module
from app.streaming.orders import Configuration, LegOpened, Report
from app.streaming.process import DecodingProcess
from tests.app.streaming.receiver import Receiver, receiving
from tests.app.streaming.sound import loud, pitch, spoken
from tests.conftest import eventually

LEG = LegOpened("call", "user", "ann", "hana", 1_800_000_000_000)


class Totals:
    """What the reports add up to."""

    def __init__(self) -> None:
        self.sent = self.dropped = self.opened = self.failed = self.connected = 0

    def add(self, report: Report) -> None:
        self.sent += report.sent
        self.dropped += report.dropped
        self.opened += report.opened
        self.failed += report.failed
        self.connected = report.connected


@asynccontextmanager
async def decoding(url: str, token: str | None = None) -> AsyncIterator[tuple[DecodingProcess, Totals]]:
    totals = Totals()
    async with DecodingProcess.running(Configuration(url, token)) as made:
        made.on_report(totals.add)
        await eventually(lambda: made._process is None and "it has not begun", 30.0)
        yield made, totals


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def say(process: DecodingProcess, packets: list[bytes], leg: int = 1) -> None:
    """In real time."""
    began = time.monotonic()
    for at, packet in enumerate(packets):
        await asyncio.sleep(max(0.0, began + 0.02 * at - time.monotonic()))
        process.hear(leg, time.monotonic(), packet)


async def test_what_is_said_comes_with_a_header_and_an_end(receiver):
    async with decoding(receiver.url, "secret") as (process, totals):
        process.open_leg(1, LEG, time.monotonic())
        await say(process, spoken(2.0, 600.0))
        connection = await receiver.leg("user")
        await connection.heard(90)
        process.close_leg(1, "manual")
        await eventually(lambda: not connection.over and "it goes on", 30.0)
        await eventually(lambda: totals.connected and "it is counted as connected", 30.0)
    assert connection.headers["Authorization"] == "Bearer secret"
    assert connection.start == {
        "type": "start",
        "version": 1,
        "callId": "call",
        "role": "user",
        "userId": "ann",
        "otomoId": "hana",
        "connection": 1,
        "at": "2027-01-15T08:00:00.000Z",
        "encoding": "s16le",
        "sampleRate": 16000,
        "channels": 1,
        "frameMs": 20,
    }
    assert connection.texts[-1] == {"type": "end", "reason": "manual"}
    assert {len(frame) for frame in connection.frames} == {640}
    spoken_frames = [
        frame for frame, is_loud in zip(connection.frames, loud(connection.frames), strict=True) if is_loud
    ]
    assert pitch(spoken_frames[5:80]) == pytest.approx(600.0, abs=5.0)
    assert (totals.opened, totals.failed, totals.dropped) == (1, 0, 0)
    assert totals.sent == len(connection.frames)


async def test_a_receiver_that_hangs_up_is_connected_to_again(receiver):
    async with decoding(receiver.url) as (process, totals):
        process.open_leg(1, LEG, time.monotonic())
        [first] = await receiver.connected()
        await first.heard(10)
        await first.socket.close()
        _, second = await receiver.connected(2)
        await second.heard(10)
        assert second.start["connection"] == 2
        assert second.start["at"] > first.start["at"]
        await eventually(lambda: totals.opened < 2 and f"{totals.opened} were opened", 30.0)


async def test_a_receiver_that_is_not_there_is_tried_again_and_again(receiver):
    receiver.refuses = True
    async with decoding(receiver.url) as (process, totals):
        process.open_leg(1, LEG, time.monotonic())
        await eventually(lambda: totals.failed < 2 and f"{totals.failed} failed", 30.0)
        receiver.refuses = False
        await (await receiver.leg("user")).heard(10)


async def test_what_a_slow_receiver_does_not_read_is_dropped_and_told(receiver):
    receiver.reads.clear()
    async with decoding(receiver.url) as (process, totals):
        process.open_leg(1, LEG, time.monotonic() - 600.0)  # ten minutes of silence at once
        await eventually(lambda: totals.dropped < 1000 and f"{totals.dropped} are dropped", 30.0)
        receiver.reads.set()
        connection = await receiver.leg("user")
        await eventually(lambda: not any(one["type"] == "gap" for one in connection.texts) and "no gap is told", 30.0)


async def test_a_process_that_dies_is_started_again_and_goes_on_with_its_legs(receiver, monkeypatch, caplog):
    monkeypatch.setattr(process_module, "FIRST_WAIT_S", 0.05)
    async with decoding(receiver.url) as (process, _):
        process.open_leg(1, LEG, time.monotonic())
        await (await receiver.leg("user")).heard(5)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)
        _, second = await receiver.connected(2)
        await second.heard(5)
    assert "begins again" in caplog.text


async def test_a_process_that_stands_still_holds_up_nobody(receiver, monkeypatch):
    monkeypatch.setattr(process_module, "END_WITHIN_S", 0.1)
    async with decoding(receiver.url) as (process, _):
        process.open_leg(1, LEG, time.monotonic())
        await (await receiver.leg("user")).heard(1)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        packet = bytes(1200)
        for _ in range(3000):
            process.hear(1, time.monotonic(), packet)
        assert process.packets_dropped > 1000
