"""The two limits of what waits for one client."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSMsgType

from app.signaling.outbox import ANSWERS_AHEAD, Backlog, Frame, Outbox


def test_a_backlog_keeps_the_order_and_ends_at_either_limit() -> None:
    by_number = Backlog(3, 1000)
    assert [by_number.add(Frame(b"x", seq=number)) for number in range(5)] == [True, True, True, False, False]
    assert [by_number.take().seq for _ in range(len(by_number))] == [0, 1, 2]
    by_size = Backlog(1000, 10)
    assert [by_size.add(Frame(b"xxxx")) for _ in range(4)] == [True, True, False, False]
    by_size.take()
    assert by_size.add(Frame(b"xxxx"))


def test_a_single_frame_always_fits() -> None:
    backlog = Backlog(3, 10)
    assert backlog.add(Frame(b"x" * 100))
    assert not backlog.add(Frame(b""))


def test_a_free_frame_takes_no_room_from_others() -> None:
    backlog = Backlog(4, 10)
    assert backlog.add(Frame(b"x" * 100, free=True))
    assert [backlog.add(Frame(b"xxxxx")) for _ in range(3)] == [True, True, False]
    assert backlog.add(Frame(b"x" * 100, free=True))
    assert not backlog.add(Frame(b"", free=True))
    for _ in range(3):
        backlog.take()
    assert backlog.add(Frame(b"x" * 10))


def test_a_cleared_backlog_is_as_good_as_new() -> None:
    backlog = Backlog(2, 10)
    backlog.add(Frame(b"x" * 10))
    backlog.clear()
    assert len(backlog) == 0
    assert backlog.add(Frame(b"x" * 10))


async def test_a_closed_outbox_takes_frames_without_keeping_them() -> None:
    outbox = Outbox(2, 100)
    outbox.put(Frame(b"before"))
    outbox.close(1001)
    assert all(outbox.put(Frame(b"after")) for _ in range(10))
    assert len(outbox) == 1


async def test_who_discards_keeps_nothing() -> None:
    outbox = Outbox(2, 100)
    outbox.put(Frame(b"before", WSMsgType.TEXT))
    outbox.close(4008, discard=True)
    assert len(outbox) == 0


async def test_there_is_room_until_a_few_answers_wait() -> None:
    outbox = Outbox(1000, 1000)
    for _ in range(ANSWERS_AHEAD):
        outbox.put(Frame(b""))
    await outbox.room()
    outbox.put(Frame(b""))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.room()
