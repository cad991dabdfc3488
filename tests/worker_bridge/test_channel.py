"""The conversation with a worker, without one: what goes on the wire, and what the answers to it do."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker_bridge.memory_wire import Wire, cut, framed
from worker_bridge.channel import FRAME_LIMIT, LAST_REQUEST_ID, PREFIX
from worker_bridge.codec import MessageCodec
from worker_bridge.errors import InvalidMessage, InvalidRequest, NotFound, RequestRefused, WorkerGone
from worker_bridge.native import locate


@pytest.fixture(scope="module")
def schema() -> bytes:
    return locate().schema.read_bytes()


@pytest.fixture
async def wire(schema: bytes) -> Wire:
    return Wire(schema)


async def turn() -> None:
    """One turn of the loop."""
    await asyncio.sleep(0)


async def test_call_order_is_wire_order(wire: Wire) -> None:
    channel = wire.channel
    first = channel.send("WORKER_DUMP")
    channel.post("WORKER_CLOSE_ROUTER", "", {"router_id": "a"})
    asked = asyncio.ensure_future(channel.request("PRODUCER_DUMP", "b"))
    await turn()  # a task does not run before
    channel.notify("WORKER_CLOSE")
    others = channel.request_all([("PRODUCER_GET_STATS", "c"), ("CONSUMER_GET_STATS", "d")])
    last = channel.send("ROUTER_DUMP", "e")

    assert wire.names == [
        "WORKER_DUMP",
        "WORKER_CLOSE_ROUTER",
        "PRODUCER_DUMP",
        "WORKER_CLOSE",
        "PRODUCER_GET_STATS",
        "CONSUMER_GET_STATS",
        "ROUTER_DUMP",
    ]
    assert [sent["handler_id"] for sent in wire.sent] == ["", "", "b", "", "c", "d", "e"]
    assert [sent["id"] for sent in wire.sent if "id" in sent] == [1, 2, 3, 4, 5, 6]
    wire.accept_all()
    await asyncio.gather(first, asked, *others, last)
    assert channel.pending == 0


async def test_many_requests_are_one_write_and_none_is_no_write(wire: Wire) -> None:
    answers = wire.channel.request_all([("PRODUCER_GET_STATS", str(number)) for number in range(50)])
    assert len(wire.writes) == 1
    assert wire.channel.request_all([]) == []
    assert len(wire.writes) == 1
    wire.accept_all()
    assert await asyncio.gather(*answers) == [{}] * 50


@given(order=st.permutations(range(8)), places=st.lists(st.integers(0, 3000), max_size=12))
@settings(max_examples=40, deadline=None)
def test_answers_find_their_request_in_any_order_and_in_any_chunks(
    schema: bytes, order: list[int], places: list[int]
) -> None:
    async def converse() -> None:
        wire = Wire(schema)
        answers = [wire.channel.send("WORKER_GET_RESOURCE_USAGE") for _ in order]
        stream = b"".join(wire.usage(wire.sent[index]["id"], utime=100 + index) for index in order)
        for chunk in cut(stream, places):
            wire.channel.feed(chunk)
        assert [answer["ru_utime"] for answer in await asyncio.gather(*answers)] == [100 + index for index in range(8)]
        assert wire.channel.pending == 0

    asyncio.run(converse())


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        ({"error": "TypeError", "reason": "wrong ssrc"}, InvalidRequest, "WORKER_DUMP: wrong ssrc"),
        ({"error": "Error", "reason": "no"}, RequestRefused, "WORKER_DUMP: no"),
        ({"error": "NotFoundError", "reason": "handler x not found"}, NotFound, "WORKER_DUMP: handler x not found"),
        ({"error": "Error"}, RequestRefused, "WORKER_DUMP: Error"),
        ({}, RequestRefused, "WORKER_DUMP: no reason given"),
    ],
)
async def test_a_refusal_has_the_workers_words(wire: Wire, response: dict[str, str], kind: type, said: str) -> None:
    answer = wire.channel.send("WORKER_DUMP")
    wire.channel.feed(wire.response(1, **response))
    with pytest.raises(RequestRefused) as refused:
        await answer
    assert type(refused.value) is kind
    assert str(refused.value) == said
    assert wire.channel.pending == 0


async def test_an_answer_to_nobody_changes_nothing(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    answer = wire.channel.send("WORKER_DUMP")
    wire.channel.feed(wire.response(77, accepted=True) + wire.response(1, accepted=True) + wire.response(1))
    assert await answer == {}
    assert [record.args for record in caplog.records] == [(77,), (1,)]
    assert not wire.alarms


async def test_a_late_answer_to_a_cancelled_request_is_harmless(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.ensure_future(wire.channel.request("WORKER_DUMP"))
    other = wire.channel.send("WORKER_DUMP")
    await turn()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert wire.channel.pending == 2, "the worker still owes both answers"
    wire.accept_all()
    assert await other == {}
    assert wire.channel.pending == 0
    assert not caplog.records


async def test_ids_start_again_after_the_last_and_pass_over_those_in_flight(wire: Wire) -> None:
    slow = wire.channel.send("WORKER_DUMP")
    wire.channel._last_id = LAST_REQUEST_ID - 1
    last, wrapped = wire.channel.send("WORKER_DUMP"), wire.channel.send("WORKER_DUMP")
    assert [sent["id"] for sent in wire.sent] == [1, 0xFFFF_FFFF, 2]
    wire.accept_all()
    await asyncio.gather(slow, last, wrapped)


async def test_answered_requests_leave_nothing_in_memory(schema: bytes) -> None:
    channel = Wire(schema).channel
    channel._write = lambda _: None

    def ask(count: int) -> int:
        for _ in range(count):
            channel.send("WORKER_DUMP").cancel()
            channel._pending.popitem()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = ask(100)
        assert ask(5000) - before < 10_000, "bytes"
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- what a message is not


@pytest.mark.parametrize(
    ("method", "handler_id", "body"),
    [
        ("NO_SUCH_METHOD", "", None),
        ("WORKER_DUMP", "", {}),
        ("WORKER_CLOSE_ROUTER", "", None),
        ("WORKER_CLOSE_ROUTER", "", {"router_id": 7}),
        ("WORKER_CLOSE_ROUTER", "", {"router": "x"}),
        ("ROUTER_DUMP", "cut\0here", None),
    ],
)
async def test_what_does_not_fit_is_neither_written_nor_waited_for(
    wire: Wire, method: str, handler_id: str, body: dict[str, Any] | None
) -> None:
    channel = wire.channel
    for say in (channel.send, channel.post):
        with pytest.raises(InvalidMessage):
            say(method, handler_id, body)
    with pytest.raises(InvalidMessage):
        await channel.request(method, handler_id, body)
    assert channel.pending == 0
    assert not wire.writes


async def test_one_wrong_request_of_many_leaves_none_of_them_waiting(wire: Wire) -> None:
    with pytest.raises(InvalidMessage):
        wire.channel.request_all([("PRODUCER_GET_STATS", "a"), ("PRODUCER_GET_STATS", "b\0"), ("WORKER_DUMP", "")])
    assert wire.channel.pending == 0
    assert not wire.writes


async def test_a_notification_that_does_not_fit_is_not_written(wire: Wire) -> None:
    with pytest.raises(InvalidMessage):
        wire.channel.notify("WORKER_RUNNING")
    assert not wire.writes


# ---------------------------------------------------------------- the end of the worker


async def test_everything_that_waits_fails_when_the_worker_is_gone(wire: Wire) -> None:
    channel, death = wire.channel, RuntimeError("signal 9")
    waiting = [channel.send("WORKER_DUMP"), *channel.request_all([("ROUTER_DUMP", "a"), ("ROUTER_DUMP", "b")])]
    channel.post("WORKER_CLOSE_ROUTER", "", {"router_id": "a"})
    channel.fail(death)
    channel.fail(RuntimeError("the second reason is not the reason"))

    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(failure) for failure in failures] == [
        "WORKER_DUMP: signal 9",
        "ROUTER_DUMP: signal 9",
        "ROUTER_DUMP: signal 9",
    ]
    assert all(isinstance(failure, WorkerGone) and failure.__cause__ is death for failure in failures)
    assert channel.pending == 0
    assert channel.oldest_pending is None


async def test_nothing_can_be_asked_of_a_worker_that_is_gone(wire: Wire) -> None:
    channel, death = wire.channel, RuntimeError("signal 9")
    channel.fail(death)
    for say in (
        lambda: channel.send("WORKER_DUMP"),
        lambda: channel.request_all([("WORKER_DUMP", "")]),
        lambda: channel.notify("WORKER_CLOSE"),
    ):
        with pytest.raises(WorkerGone, match="signal 9") as gone:
            say()
        assert gone.value.__cause__ is death
    with pytest.raises(WorkerGone):
        await channel.request("WORKER_DUMP")
    channel.post("WORKER_CLOSE_ROUTER", "", {"router_id": "a"})  # what went with the worker is closed already
    assert not wire.writes
    assert channel.pending == 0


async def test_a_cancelled_request_is_no_obstacle_to_the_end(wire: Wire) -> None:
    answer = wire.channel.send("WORKER_DUMP")
    answer.cancel()
    wire.channel.fail(RuntimeError("signal 9"))
    assert answer.cancelled()


async def test_the_longest_wait_is_known(wire: Wire) -> None:
    channel = wire.channel
    assert channel.oldest_pending is None
    before = asyncio.get_running_loop().time()
    channel.post("ROUTER_CLOSE_TRANSPORT", "r", {"transport_id": "t"})
    channel.send("WORKER_DUMP")
    assert channel.oldest_pending is not None
    request_id, method, since = channel.oldest_pending
    assert (request_id, method) == (1, "ROUTER_CLOSE_TRANSPORT")
    assert before <= since <= asyncio.get_running_loop().time()
    channel.feed(wire.response(1, accepted=True))
    assert channel.oldest_pending[:2] == (2, "WORKER_DUMP")
    wire.accept_all()


# ---------------------------------------------------------------- notifications


async def test_a_notification_comes_behind_whoever_awaits_an_answer_of_the_same_read(wire: Wire) -> None:
    happened: list[object] = []

    async def ask() -> None:
        await wire.channel.request("WORKER_DUMP")
        happened.append("answered")

    wire.channel.listen("p", lambda event, body: happened.append((event, body["scores"][0]["score"])))
    asked = asyncio.create_task(ask())
    await turn()
    wire.channel.feed(wire.response(1, accepted=True) + wire.score("p"))
    await asked
    await turn()
    assert happened == ["answered", ("PRODUCER_SCORE", 7)]


async def test_notifications_keep_their_order_and_find_their_listener(wire: Wire) -> None:
    heard: list[tuple[str, str]] = []

    def hear(handler_id: str, event: str, _: object) -> None:
        heard.append((handler_id, event))

    for handler_id in ("a", "b"):
        wire.channel.listen(handler_id, partial(hear, handler_id))
    wire.channel.feed(
        wire.notification("a", "CONSUMER_PRODUCER_PAUSE")
        + wire.notification("b", "CONSUMER_PRODUCER_PAUSE")
        + wire.notification("a", "CONSUMER_PRODUCER_RESUME")
        + wire.notification("4711", "WORKER_RUNNING")
    )
    await turn()
    assert heard == [
        ("a", "CONSUMER_PRODUCER_PAUSE"),
        ("b", "CONSUMER_PRODUCER_PAUSE"),
        ("a", "CONSUMER_PRODUCER_RESUME"),
    ]
    assert wire.unclaimed == ["WORKER_RUNNING"]


async def test_who_stopped_listening_hears_nothing_of_what_was_on_its_way(wire: Wire) -> None:
    heard: list[str] = []
    wire.channel.listen("p", lambda event, _: heard.append(event))
    wire.channel.feed(wire.score("p"))
    wire.channel.unlisten("p")
    wire.channel.unlisten("p")
    await turn()
    assert not heard


async def test_a_listener_that_raises_stops_nobody(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def broken(event: str, _: object) -> None:
        raise ZeroDivisionError(event)

    wire.channel.listen("broken", broken)
    wire.channel.listen("p", lambda event, _: heard.append(event))
    wire.channel.feed(wire.score("broken") + wire.score("p"))
    await turn()
    assert heard == ["PRODUCER_SCORE"]
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert not wire.alarms


@pytest.mark.parametrize(
    ("text", "level"),
    [("Ddetail", logging.DEBUG), ("Wwatch", logging.WARNING), ("Efault", logging.WARNING), ("Xdump", logging.INFO)],
)
async def test_the_workers_log_keeps_its_levels(
    wire: Wire, caplog: pytest.LogCaptureFixture, text: str, level: int
) -> None:
    caplog.set_level(logging.DEBUG, "worker_bridge.native_worker")
    wire.channel.feed(wire.log(text))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, text[1:])]


# ---------------------------------------------------------------- bytes that make no sense


@pytest.mark.parametrize(
    "garbage",
    [framed(b"\xff" * 64), framed(b""), framed(bytes(12)), (FRAME_LIMIT + 1).to_bytes(PREFIX, "little")],
    ids=["ones", "empty", "zeros", "too long"],
)
async def test_garbage_raises_the_alarm_and_the_answer_before_it_counts(wire: Wire, garbage: bytes) -> None:
    answer = wire.channel.send("WORKER_DUMP")
    wire.channel.feed(wire.response(1, accepted=True) + garbage)
    assert await answer == {}
    [alarm] = wire.alarms
    assert isinstance(alarm, InvalidMessage)


async def test_a_worker_that_asks_us_something_raises_the_alarm(wire: Wire, schema: bytes) -> None:
    wire.channel.feed(MessageCodec(schema).request(1, "WORKER_DUMP", ""))
    assert [str(alarm) for alarm in wire.alarms] == ["the worker sent a Request"]


@given(noise=st.binary(max_size=400), places=st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=150, deadline=None)
def test_no_noise_gets_past_the_alarm(schema: bytes, noise: bytes, places: list[int]) -> None:
    async def listen() -> None:
        wire = Wire(schema)
        for chunk in cut(framed(noise) + noise, places):
            wire.channel.feed(chunk)
        assert all(isinstance(alarm, InvalidMessage) for alarm in wire.alarms)

    asyncio.run(listen())


async def test_after_the_end_the_rest_of_the_garbage_is_nobodys_business(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    wire.channel.feed(framed(b"\xff" * 64))
    wire.channel.fail(wire.alarms[0])
    wire.channel.feed(framed(b"\xff" * 64) + wire.response(9, accepted=True))
    assert len(wire.alarms) == 1
    assert not caplog.records


async def test_observers_are_told_of_every_answer_and_of_those_that_never_come(wire: Wire) -> None:
    channel, told, times = wire.channel, [], []
    channel.observe(lambda method, outcome: lambda seconds: told.append((method, outcome, 0 <= seconds < 60)))
    channel.observe(lambda method, _: times.append if method == "ROUTER_DUMP" else None)
    asked, refused = channel.send("WORKER_DUMP"), channel.send("ROUTER_DUMP", "a")
    channel.post("WORKER_CLOSE_ROUTER", "", {"router_id": "b"})
    lost = channel.send("PRODUCER_DUMP", "c")
    for request_id, accepted in ((1, True), (2, False), (3, True)):
        channel.feed(wire.response(request_id, accepted=accepted))
    channel.fail(WorkerGone("it is gone"))
    await asyncio.gather(asked, refused, lost, return_exceptions=True)
    assert told == [
        ("WORKER_DUMP", "accepted", True),
        ("ROUTER_DUMP", "refused", True),
        ("WORKER_CLOSE_ROUTER", "accepted", True),
        ("PRODUCER_DUMP", "gone", True),
    ]
    assert len(times) == 1
