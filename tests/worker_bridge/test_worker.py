"""One worker's life: ready, healthy, hung, dead; and what each of these does to whoever waits."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.conftest import children, eventually, free_ports
from tests.worker_bridge.rtp_samples import OPUS, microphone
from worker_bridge import worker as worker_module
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import (
    InvalidMessage,
    InvalidParameters,
    NativeError,
    NotAnswered,
    RequestRefused,
    ResourceClosed,
    Unsupported,
    WorkerGone,
    WrongSettings,
)
from worker_bridge.native import NativeWorker
from worker_bridge.resource import CloseReason
from worker_bridge.rtp import RtpCodecCapability
from worker_bridge.worker import Worker, observer
from worker_bridge.worker_settings import WorkerSettings

Fake = Callable[[str], NativeWorker]
IMPATIENT = WorkerSettings(hang_after_s=0.2, heartbeat_s=0.05)
DEATH_NOTICED_S = 1.0
HANG_NOTICED_S = 5.0


async def gone_within(worker: Worker, seconds: float) -> Exception | None:
    async with asyncio.timeout(seconds):
        return await worker.wait_gone()


# ---------------------------------------------------------------- start


async def test_whoever_wants_to_know_hears_of_each_worker_that_is_up(native_worker: NativeWorker) -> None:
    heard: list[Worker] = []
    observer.on("newworker", heard.append)
    try:
        async with Worker.running(native_worker, app_data={"rack": 7}) as worker:
            assert heard == [worker]
            assert worker.app_data == {"rack": 7}
    finally:
        observer.remove_listener("newworker", heard.append)


async def test_a_worker_lives_from_its_start_to_its_close_without_a_block(native_worker: NativeWorker) -> None:
    worker = await Worker.start(native_worker, WorkerSettings(log_level="error"), app_data={"rack": 7})
    assert (worker.closed, worker.app_data, worker.settings.log_level) == (False, {"rack": 7}, "error")
    assert (await worker.dump())["pid"] == worker.pid
    await worker.close()
    assert (worker.closed, worker.subprocess_closed) == (True, True)


async def test_a_start_that_is_given_up_leaves_no_process(script: Callable[[str], NativeWorker]) -> None:
    before = children()
    starting = asyncio.ensure_future(Worker.start(script("exec sleep 60")))
    await eventually(lambda: None if children() - before else "it has not begun")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == before


async def test_the_end_of_a_worker_is_told_in_order(native_worker: NativeWorker) -> None:
    for end in ("close", "kill"):
        async with Worker.running(native_worker) as worker:
            told: list[str] = []
            for event in ("died", "close", "subprocessclose"):
                worker.events.on(event, lambda *_, told=told, event=event: told.append(event))
            if end == "close":
                await worker.close()
                assert (told, worker.died, worker.subprocess_closed) == (["close", "subprocessclose"], False, True)
            else:
                os.kill(worker.pid, signal.SIGKILL)
                await worker.wait_gone()
                await eventually(lambda worker=worker: None if worker.subprocess_closed else "it still runs")
                assert (told, worker.died) == (["died", "close", "subprocessclose"], True)


async def test_a_request_that_the_worker_passes_over_ends_alone(native_worker: NativeWorker) -> None:
    """A key frame of piped audio is one that it never answers."""
    async with Worker.running(native_worker, IMPATIENT) as worker:
        router = await worker.create_router([OPUS])
        transport = await router.create_direct_transport()
        producer = await transport.produce("audio", microphone())
        consumer = await transport.consume(producer.id, router.rtp_capabilities, pipe=True)
        with pytest.raises(NotAnswered, match="CONSUMER_REQUEST_KEY_FRAME: the worker answered later requests"):
            await worker.channel.request("CONSUMER_REQUEST_KEY_FRAME", consumer.id)
        await consumer.request_key_frame()
        assert worker.channel.oldest_pending is None or worker.channel.oldest_pending[1] == "WORKER_GET_RESOURCE_USAGE"
        assert not worker.closed


async def test_a_worker_that_knows_another_pid_of_itself_is_ready_all_the_same(fake: Fake) -> None:
    async with Worker.running(fake("elsewhere")) as worker:
        await worker.update_settings("warn", [])
    assert worker.failure is None


async def test_a_worker_that_is_never_ready_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "START_TIMEOUT_S", 0.2)
    monkeypatch.setattr("worker_bridge.process.EXIT_GRACE_S", 0.05)
    with pytest.raises(NativeError, match="was not ready"):
        async with Worker.running(fake("silent")):
            pytest.fail("it is not running")


async def test_settings_that_the_worker_refuses_are_called_so(native_worker: NativeWorker) -> None:
    with pytest.raises(WrongSettings, match="refuses its settings"):
        async with Worker.running(native_worker, WorkerSettings(rtc_min_port=2000, rtc_max_port=1000)):
            pytest.fail("it is not running")


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        (WorkerSettings(log_level="loud"), "log_level: 'loud' is none of debug"),  # type: ignore[arg-type]
        (WorkerSettings(log_tags=("rtp", "rtpp")), "log_tags: 'rtpp' is none of bwe"),
    ],
)
async def test_logging_that_no_worker_knows_starts_none(
    native_worker: NativeWorker, settings: WorkerSettings, refusal: str
) -> None:
    with pytest.raises(InvalidParameters, match=refusal):
        async with Worker.running(native_worker, settings):
            pytest.fail("it is not running")


@pytest.mark.parametrize(("mode", "cause"), [("wrong_settings", "wrong settings"), ("die_at_start", "exit code 3")])
async def test_a_worker_that_ends_before_it_is_ready_says_why(fake: Fake, mode: str, cause: str) -> None:
    with pytest.raises(NativeError, match=cause) as failure:
        async with Worker.running(fake(mode)):
            pytest.fail("it is not running")
    assert isinstance(failure.value.__cause__, WorkerGone)


async def test_a_binary_that_is_none_says_so(script: Fake) -> None:
    native = script("")
    native.binary.chmod(0o644)
    with pytest.raises(NativeError, match="Permission denied"):
        async with Worker.running(native):
            pytest.fail("it is not running")


@pytest.mark.parametrize("turns", [1, 3, 5, 20])
async def test_a_start_that_is_cancelled_leaves_nothing(native_worker: NativeWorker, turns: int) -> None:
    async def run() -> None:
        async with Worker.running(native_worker) as worker:
            await worker.wait_gone()

    running = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# ---------------------------------------------------------------- health


async def test_a_worker_tells_of_itself(worker: Worker) -> None:
    router = await worker.create_router([OPUS])
    dump = await worker.dump()
    assert dump["pid"] == worker.pid
    assert dump["router_ids"] == [router.id]
    usage = await worker.get_resource_usage()
    assert usage["ru_maxrss"] > 1000, "KiB"
    assert repr(worker) == f"<Worker {worker.pid} running>"
    assert worker.load == 1


async def test_the_heartbeat_keeps_the_resource_usage_fresh(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker, IMPATIENT) as worker:
        await eventually(lambda: "no usage yet" if not worker.resource_usage else None)
        first = worker.resource_usage
        await eventually(lambda: "it is the first still" if worker.resource_usage is first else None)


async def test_log_settings_can_be_changed(native_worker: NativeWorker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "worker_bridge.native_worker")
    settings = WorkerSettings(log_level="debug", log_tags=("info",))
    async with Worker.running(native_worker, settings) as worker:
        assert any(record.levelno == logging.DEBUG for record in caplog.records)
        await worker.update_settings("none", [])
        caplog.clear()
        await worker.create_router([OPUS])
        assert not [record for record in caplog.records if record.name == "worker_bridge.native_worker"]
        with pytest.raises(InvalidParameters, match="log_level"):
            await worker.update_settings("loud", [])  # type: ignore[arg-type]
        await worker.update_settings("debug", ["info", "ice"])
        await worker.update_settings("warn")
        assert (worker.settings.log_level, worker.settings.log_tags) == ("warn", ("info", "ice")), "the rest stays"


async def test_a_worker_makes_no_router_for_what_it_cannot_route(worker: Worker) -> None:
    with pytest.raises(Unsupported):
        await worker.create_router([RtpCodecCapability("audio", "audio/nothing", 48000)])
    assert worker.load == 0
    assert (await worker.dump())["router_ids"] == []


async def test_a_port_that_is_taken_is_refused_and_leaves_nothing(worker: Worker) -> None:
    server = await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")])
    port = (await server.dump())["udp_sockets"][0]["port"]
    with pytest.raises(RequestRefused, match="WORKER_CREATE_WEBRTCSERVER"):
        await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1", port=port)])
    assert worker.load == 1
    assert (await worker.dump())["web_rtc_server_ids"] == [server.id]


async def test_a_slow_loop_of_ours_is_not_the_workers_fault(native_worker: NativeWorker) -> None:
    settings = WorkerSettings(hang_after_s=0.3, heartbeat_s=0.1)
    async with Worker.running(native_worker, settings) as worker:
        for _ in range(2):
            asked = asyncio.ensure_future(worker.dump())
            await asyncio.sleep(0)
            time.sleep(settings.hang_after_s + 0.1)  # noqa: ASYNC251 -- the loop is to stand still
            await asked
        for _ in range(3):  # and with no more than one turn between
            time.sleep(settings.hang_after_s + 0.1)  # noqa: ASYNC251
            await asyncio.sleep(0)
        assert (await worker.dump())["pid"] == worker.pid
        assert not worker.closed


# ---------------------------------------------------------------- faults


async def test_a_refusal_is_not_the_end(fake: Fake) -> None:
    async with Worker.running(fake("refuse")) as worker:
        with pytest.raises(RequestRefused, match="not today"):
            await worker.create_router([OPUS])
        assert worker.load == 0
        assert not worker.closed


async def test_an_answer_that_is_neither_yes_nor_no_is_a_no(fake: Fake) -> None:
    async with Worker.running(fake("neither")) as worker:
        with pytest.raises(RequestRefused, match="no reason given"):
            await worker.update_settings("warn", [])
        await eventually(lambda: worker.channel.oldest_pending)


async def test_answers_to_nobody_do_no_harm(fake: Fake) -> None:
    async with Worker.running(fake("strangers")) as worker:
        for _ in range(5):
            await worker.update_settings("warn", [])
        assert not worker.closed


@pytest.mark.parametrize("mode", ["garble", "oversize"])
async def test_a_worker_that_talks_nonsense_is_killed(fake: Fake, mode: str) -> None:
    async with Worker.running(fake(mode)) as worker:
        with pytest.raises(WorkerGone):
            await worker.create_router([OPUS])
        assert isinstance(await gone_within(worker, DEATH_NOTICED_S), InvalidMessage)
        assert worker.load == 0


async def test_a_worker_that_dies_of_a_request_fails_that_request(fake: Fake) -> None:
    async with Worker.running(fake("die")) as worker:
        with pytest.raises(WorkerGone, match="exit code 3"):
            await worker.create_router([OPUS])


async def test_pending_requests_fail_when_the_worker_dies(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        router = await worker.create_router([OPUS])
        deaths: list[object] = []
        closings: list[object] = []
        worker.events.on("died", deaths.append)
        worker.events.on("close", lambda: closings.append(worker.closed))
        router.events.on("close", closings.append)
        os.kill(worker.pid, signal.SIGSTOP)
        waiting = [asyncio.ensure_future(ask()) for ask in (worker.dump, router.dump, worker.get_resource_usage)]
        await asyncio.sleep(0)
        os.kill(worker.pid, signal.SIGKILL)

        failure = await gone_within(worker, DEATH_NOTICED_S)
        assert str(failure) == f"worker {worker.pid} died (signal 9)"
        for answer in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(answer, WorkerGone)
        assert worker.channel.pending == 0
        assert closings == [CloseReason.WORKER_DIED, True], "the router first, then the worker"
        with pytest.raises(ResourceClosed):
            await router.dump()
        with pytest.raises(WorkerGone):
            await worker.create_router([OPUS])
        with pytest.raises(WorkerGone):
            await worker.dump()
        router.close()
        await worker.close()
    assert deaths == [failure]
    assert len(closings) == 2


async def test_a_hang_is_noticed_in_time(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        failure = await gone_within(worker, HANG_NOTICED_S)
    assert "hangs: no answer to WORKER_GET_RESOURCE_USAGE" in str(failure)


@pytest.mark.parametrize("mode", ["stall", "deaf"])
async def test_a_worker_that_does_not_answer_is_killed(fake: Fake, mode: str) -> None:
    async with Worker.running(fake(mode), IMPATIENT) as worker:
        with pytest.raises(WorkerGone, match="hangs"):
            await worker.create_router([OPUS])
        assert worker.closed
        assert worker.load == 0


async def test_an_unexpected_good_bye_is_a_death(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        os.kill(worker.pid, signal.SIGTERM)
        assert "exit code 0" in str(await gone_within(worker, DEATH_NOTICED_S))


async def test_the_books_count_what_is_on_it_once(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        server = await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1", port=free_ports(1))])
        router = await worker.create_router([OPUS])
        transport = await router.create_webrtc_transport(server)
        assert worker.count_objects() == {"webrtc_server": 1, "router": 1, "transport": 1}
        transport.close()
        assert worker.count_objects() == {"webrtc_server": 1, "router": 1}


async def test_usage_is_dated_by_its_heartbeat(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker, WorkerSettings(heartbeat_s=0.05)) as worker:
        began = time.monotonic()
        await eventually(lambda: worker.usage_at <= began and "no heartbeat came")
        assert worker.resource_usage["ru_maxrss"] > 0
        assert worker.usage_at <= time.monotonic()


# ---------------------------------------------------------------- close


async def test_close_ends_it_without_a_death(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        router = await worker.create_router([OPUS])
        deaths: list[object] = []
        worker.events.on("died", deaths.append)
        await asyncio.gather(worker.close(), worker.close())
        assert await worker.wait_gone() is None
        assert router.close_reason is CloseReason.WORKER_DIED
        assert repr(worker).endswith("gone>")
        with pytest.raises(WorkerGone, match="closed"):
            await worker.create_router([OPUS])
    assert not deaths


@pytest.mark.parametrize("condition", [signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV])
async def test_close_always_ends(
    native_worker: NativeWorker, condition: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker_bridge.process.EXIT_GRACE_S", 0.1)
    async with Worker.running(native_worker) as worker:
        os.kill(worker.pid, condition)
        asked = asyncio.ensure_future(worker.dump())
        await asyncio.sleep(0)
        await worker.close()
        with pytest.raises(WorkerGone):
            await asked
