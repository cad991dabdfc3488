"""The clock, by which tokens and TURN credentials expire, and which dates histories. No charge depends on it."""

from __future__ import annotations

import asyncio
import ctypes
import time
from datetime import UTC, datetime

from app.settings import Settings
from voiceplane.doctor.finding import Finding, fail, ok, warn

CHECK = "clock"
WATCHED_S = 0.5
JUMP_S = 0.05  # far above what NTP's slewing does in that time (0.5 ms a second)
READINGS = 5
UNSYNCHRONIZED = 0x0040  # STA_UNSYNC of adjtimex(2)
RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
MEND = "let NTP set it: `timedatectl set-ntp true`, or install chrony"


class Timex(ctypes.Structure):
    """``struct timex`` (adjtimex(2)), as far as its ``status``."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


async def clock(_settings: Settings) -> Finding:
    now = datetime.now(UTC)
    if now < RELEASED:
        return fail(CHECK, f"it is said to be {now:%Y-%m-%d}, before this release was made", MEND)
    jumped = await jump()
    if jumped > JUMP_S:
        return warn(CHECK, f"it moved by {jumped * 1000:.0f} ms within {WATCHED_S} s", MEND)
    state = kernel_state()
    if state is None:
        return ok(CHECK, f"{now:%Y-%m-%d %H:%M:%S} UTC; whether it is synchronized can't be asked here")
    if state.status & UNSYNCHRONIZED:
        return warn(CHECK, f"{now:%Y-%m-%d %H:%M:%S} UTC, and nothing keeps it so: it is not synchronized", MEND)
    return ok(CHECK, f"{now:%Y-%m-%d %H:%M:%S} UTC, synchronized to within {state.maxerror / 1000:.0f} ms")


async def jump() -> float:
    """How far the wall clock moved against the monotonic one in a short time, in seconds."""
    before = distance()
    await asyncio.sleep(WATCHED_S)
    return abs(distance() - before)


def distance() -> float:
    """The wall clock minus the monotonic one, in seconds: of several readings, the one that was interrupted least."""
    readings = [(time.monotonic(), time.time(), time.monotonic()) for _ in range(READINGS)]
    before, wall, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return wall - (before + after) / 2


def kernel_state() -> Timex | None:
    """The kernel's state of its clock; None where it can't be read (no Linux, or a sandbox)."""
    state = Timex()
    try:
        answered = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (AttributeError, OSError):
        return None
    return state if answered >= 0 else None
