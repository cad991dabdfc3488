"""The worker as a process: what it is born with, how it ends, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import children, eventually, open_channels
from worker_bridge import process
from worker_bridge.errors import NativeError
from worker_bridge.native import NativeWorker
from worker_bridge.process import DESCRIPTORS, LINE_LIMIT, PIPE_BYTES, WorkerProcess, output_logger

SHELL = Path("/bin/sh")
ECHO = "cat <&3 >&4"
REPOSITORY = Path(__file__).parents[2]
ALL_SIGNALS = sum(
    1 << (number - 1) for number in signal.valid_signals()
)  # as /proc writes them; not the C library's own

SAYS_WHAT_IT_HAS = f"""exec {sys.executable} -S -c '
import json, os
held = [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)]
said = {{
    "descriptors": sorted(held), "stdin": os.readlink("/proc/self/fd/0"), "version": os.environ["MEDIASOUP_VERSION"],
    "group": os.getpgrp(), "pid": os.getpid(), "secret": os.environ.get("BRIDGE_TEST"),
}}
os.write(4, json.dumps(said).encode())
'"""

CONTROL_PROCESS = """
import asyncio, sys
from worker_bridge import native
from worker_bridge.worker import Worker

async def control():
    async with Worker.running(native.locate()) as first, Worker.running(native.locate()) as second:
        print(first.pid, second.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(control())
"""


def ignore(_: bytes) -> None:
    """What a worker says that nobody asked."""


async def shell(text: str, receive: Callable[[bytes], None] = ignore) -> WorkerProcess:
    return await WorkerProcess.spawn(SHELL, ["-c", text], "3.27.1", receive)


def handed_down() -> set[int]:
    """Descriptors that every child of ours has, because who started the tests wanted it so."""
    held = {int(name) for name in os.listdir("/proc/self/fd") if Path("/proc/self/fd", name).exists()}  # noqa: PTH208
    return {descriptor for descriptor in held if os.get_inheritable(descriptor)}


class Received(bytearray):
    def __call__(self, data: bytes) -> None:
        self.extend(data)


# ---------------------------------------------------------------- birth


async def test_a_worker_is_born_with_its_channel_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_TEST", "not handed down")
    monkeypatch.setenv("MEDIASOUP_VERSION", "not the one of this worker")
    received = Received()
    worker = await shell(SAYS_WHAT_IT_HAS, received)
    assert await worker.wait() == 0
    await eventually(lambda: "nothing was said" if not received else None)
    said = json.loads(received)
    await worker.stop()
    assert said == {
        "descriptors": sorted({0, 1, 2, 3, 4} | handed_down()),
        "stdin": os.devnull,
        "version": "3.27.1",
        "group": worker.pid,
        "pid": worker.pid,
        "secret": None,
    }
    assert os.getpgrp() != worker.pid


async def test_it_heeds_all_signals_whatever_who_started_us_ignored_or_blocked() -> None:
    received = Received()
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        worker = await shell("exec grep -E '^Sig(Blk|Ign)' /proc/self/status >&4", received)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before:
            signal.signal(number, handler)
    await worker.wait()
    await eventually(lambda: "nothing was said" if received.count(b"\n") < 2 else None)
    await worker.stop()
    not_heeded = {int(line.split()[1], 16) & ALL_SIGNALS for line in received.splitlines()}
    assert not_heeded == {0}


async def test_a_worker_may_open_more_descriptors_than_we_may() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
    try:
        worker = await shell(ECHO)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert resource.prlimit(worker.pid, resource.RLIMIT_NOFILE) == (min(DESCRIPTORS, limits[1]), limits[1])
    await worker.stop()


async def test_bytes_go_both_ways_and_in_order() -> None:
    received = Received()
    worker = await shell(ECHO, received)
    sent = b"".join(number.to_bytes(4, "little") for number in range(PIPE_BYTES))  # four times what the pipe takes
    for start in range(0, len(sent), 100_000):
        worker.write(sent[start : start + 100_000])
    await eventually(lambda: f"{len(received)} of {len(sent)} came back" if len(received) < len(sent) else None)
    assert bytes(received) == sent
    assert await worker.stop() == 0


async def test_what_was_written_before_the_end_still_arrives(tmp_path: Path) -> None:
    worker = await shell(f"cat <&3 >{tmp_path}/heard")
    worker.write(b"first ")
    worker.write(b"last")
    assert await worker.stop() == 0
    assert (tmp_path / "heard").read_bytes() == b"first last"


@pytest.mark.parametrize("text", [None, "no program at all"], ids=["missing", "not a program"])
async def test_what_cannot_be_executed_is_named(tmp_path: Path, text: str | None) -> None:
    binary = tmp_path / "worker"
    if text is not None:
        binary.write_text(text)
        binary.chmod(0o755)
    before = open_channels()
    with pytest.raises(NativeError, match=f"{binary} can't be started: "):
        await WorkerProcess.spawn(binary, [], "3.27.1", ignore)
    assert open_channels() == before


async def test_an_argument_that_no_process_can_have_leaves_nothing() -> None:
    before = open_channels()
    with pytest.raises(NativeError, match="null"):
        await WorkerProcess.spawn(SHELL, ["a\0b"], "3.27.1", ignore)
    assert open_channels() == before


@pytest.mark.parametrize("turns", range(6))
async def test_a_spawn_that_is_cancelled_leaves_nothing(turns: int) -> None:
    processes, channels = children(), open_channels()
    spawning = asyncio.create_task(shell("exec sleep 100"))
    for _ in range(turns):
        await asyncio.sleep(0)
    if spawning.done():
        await spawning.result().stop()
    else:
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
    await eventually(lambda: children() - processes)
    await eventually(lambda: open_channels() - channels)


# ---------------------------------------------------------------- death


@pytest.mark.parametrize(
    ("text", "code"),
    [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", -signal.SIGKILL), ("kill -SEGV $$", -signal.SIGSEGV)],
)
async def test_the_exit_code_tells_how_it_ended(text: str, code: int) -> None:
    worker = await shell(text)
    assert await worker.wait() == code
    assert await worker.wait() == code
    worker.kill()  # of one that is dead
    assert await worker.stop() == code


async def test_closing_the_channel_ends_it() -> None:
    worker = await shell(ECHO)
    assert await worker.stop() == 0
    assert await worker.stop() == 0


async def test_one_that_does_not_hear_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "EXIT_GRACE_S", 0.05)
    worker = await shell("exec sleep 100")
    assert await worker.stop() == -signal.SIGKILL


async def test_one_that_does_not_read_is_killed_with_all_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "EXIT_GRACE_S", 0.05)
    channels = open_channels()
    worker = await shell("exec sleep 100")
    worker.write(bytes(3 * PIPE_BYTES))
    assert await worker.stop() == -signal.SIGKILL
    await eventually(lambda: open_channels() - channels)


async def test_a_stop_that_is_cancelled_still_leaves_no_process() -> None:
    worker = await shell("exec sleep 100")
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await worker.wait() == -signal.SIGKILL


async def test_writing_to_a_dead_one_is_harmless() -> None:
    worker = await shell("exit 0")
    await worker.wait()
    for _ in range(10):
        worker.write(bytes(100_000))
        await asyncio.sleep(0)
    await worker.stop()
    worker.write(b"after the end")


async def test_one_worker_does_not_hold_the_channel_of_another() -> None:
    first = await shell(ECHO)
    second = await shell("exec sleep 100")
    assert await first.stop() == 0, "it saw its channel close, though another was started after it"
    second.kill()
    assert await second.wait() == -signal.SIGKILL
    await second.stop()


async def test_workers_end_with_the_control_process_that_was_killed() -> None:
    control = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONTROL_PROCESS, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert control.stdout is not None
    pids = [int(pid) for pid in (await control.stdout.readline()).split()]
    handles = [os.pidfd_open(pid) for pid in pids]
    try:
        control.kill()
        await control.wait()
        await eventually(lambda: f"{pids} live on" if len(select.select(handles, [], [], 0)[0]) < len(pids) else None)
    finally:
        for handle in handles:
            os.close(handle)


# ---------------------------------------------------------------- its output


@pytest.mark.parametrize(("number", "level"), [(1, logging.DEBUG), (2, logging.WARNING)])
async def test_its_output_is_logged_line_by_line(caplog: pytest.LogCaptureFixture, number: int, level: int) -> None:
    caplog.set_level(logging.DEBUG, output_logger.name)
    worker = await shell(f"printf 'one\\ntwo\\nand a half' >&{number}")
    await worker.wait()
    await eventually(lambda: caplog.messages if len(caplog.messages) < 3 else None)
    await worker.stop()
    assert {record.levelno for record in caplog.records if record.name == output_logger.name} == {level}
    assert caplog.messages == [f"[pid:{worker.pid}] {line}" for line in ("one", "two", "and a half")]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_worker_that_floods_its_output_is_not_stopped_by_it(number: int) -> None:
    received = Received()
    output_logger.disabled = True
    try:
        worker = await shell(f"yes {'x' * 99} | head -c 8000000 >&{number}; echo done >&4", received)
        await eventually(lambda: "it is still writing" if received != b"done\n" else None)
        await worker.stop()
    finally:
        output_logger.disabled = False


async def test_a_line_without_end_costs_neither_memory_nor_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    received = Received()
    worker = await shell("head -c 8000000 /dev/zero >&2; echo >&2; echo done >&4", received)
    await eventually(lambda: "it is still writing" if received != b"done\n" or not caplog.messages else None)
    await worker.stop()
    [line] = caplog.messages
    assert LINE_LIMIT <= len(line) < 2 * LINE_LIMIT


async def test_output_that_is_no_text_is_logged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    worker = await shell(r"printf 'a\377b\n' >&2")
    await worker.wait()
    await eventually(lambda: "nothing was logged" if not caplog.messages else None)
    await worker.stop()
    assert caplog.messages == [f"[pid:{worker.pid}] a\N{REPLACEMENT CHARACTER}b"]


async def test_a_real_worker_starts_and_ends(native_worker: NativeWorker) -> None:
    received = Received()
    worker = await WorkerProcess.spawn(native_worker.binary, ["--logLevel=none"], native_worker.version, received)
    await eventually(lambda: "it is not ready" if not received else None)
    assert await worker.stop() == 0
