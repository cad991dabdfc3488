"""An open socket: events in order and once, signs of life, limits, and who is closed for what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from aiohttp import WSMsgType
from msgspec import json

from app.person import Person
from app.signaling.connection import Replay
from app.signaling.hub import Event
from app.signaling.limits import CloseCode, Limits
from app.signaling.outbox import ANSWERS_AHEAD
from tests.app.signaling.recent_events import RecentEvents
from tests.app.signaling.signaling_node import Node, RawClient, ask, close_code, next_message, serving
from tests.conftest import eventually

FILLING = json.encode({"filling": "x" * 1000})
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def close_frame(code: int) -> tuple[int, bytes]:
    return CLOSE, code.to_bytes(2, "big")


async def test_every_socket_of_the_user_gets_every_event_and_nobody_else_does(node: Node) -> None:
    of_ann = [await node.connect("ann") for _ in range(3)]
    of_bob = await node.connect("bob")
    sent = [node.publish("ann", number=number) for number in range(10)]
    for socket in of_ann:
        got = [await next_message(socket) for _ in sent]
        assert got == [json.decode(event.encode()) for event in sent]
        assert [message["payload"]["number"] for message in got] == list(range(10))
        assert [message["seq"] for message in got] == sorted({event.seq for event in sent})
    assert (await ask(of_bob, "ping"))["type"] == "pong"
    for socket in (*of_ann, of_bob):
        await socket.close()


async def test_without_since_nothing_is_replayed(node: Node) -> None:
    node.publish(number=1)
    socket = await node.connect()
    event = node.publish(number=2)
    assert (await next_message(socket))["seq"] == event.seq
    await socket.close()


async def test_since_replays_what_was_missed_and_nothing_else(node: Node) -> None:
    events = [node.publish(number=number) for number in range(5)]
    node.publish("bob", number=99)
    for since, expected in ((0, events), (events[2].seq, events[3:]), (events[-1].seq, [])):
        socket = await node.connect(since=since)
        assert [(await next_message(socket))["seq"] for _ in expected] == [event.seq for event in expected]
        assert (await ask(socket, "ping"))["type"] == "pong"
        await socket.close()


async def test_a_since_from_the_future_replays_nothing_and_hides_nothing(node: Node) -> None:
    socket = await node.connect(since=2**53 - 1)
    event = node.publish(number=1)
    assert (await next_message(socket))["seq"] == event.seq
    await socket.close()


async def test_what_another_node_has_told_already_is_not_told_again(node: Node) -> None:
    told = [node.recent.append(Person("user", "ann"), "otomo_status", {"number": number}) for number in range(2)]
    socket = await node.connect(since=told[-1].seq)
    assert (await ask(socket, "ping"))["type"] == "pong"
    for event in told:
        node.hub.publish(event)
    news = node.publish(number=2)
    assert (await next_message(socket))["seq"] == news.seq
    await socket.close()


class HeldReplay:
    """A store whose answer is read at once but arrives when the test wants."""

    def __init__(self) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    def __call__(self, recent: RecentEvents) -> Replay:
        async def replay(person: Person, since: int) -> list[Event]:
            events = await recent.replay(person, since)
            self.asked.set()
            await self.answer.wait()
            return events

        return replay


async def test_events_that_come_while_the_missed_are_read_come_after_them_and_once(tmp_path: Path) -> None:
    held = HeldReplay()
    async with serving(tmp_path, replay=held) as node:
        missed = [node.publish(number=number) for number in range(3)]
        stored = [
            node.recent.append(Person("user", "ann"), "otomo_status", {"number": number}) for number in range(3, 6)
        ]
        socket = await node.connect(since=missed[0].seq)
        await held.asked.wait()
        node.hub.publish(stored[0])  # was stored before the replay: would come twice
        live = [node.publish(number=number) for number in range(6, 9)]
        held.answer.set()
        expected = [*missed[1:], *stored, *live]
        assert [(await next_message(socket))["seq"] for _ in expected] == [event.seq for event in expected]
        node.hub.publish(stored[1])  # published later than it was replayed
        node.hub.publish(stored[2])
        last = node.publish(number=9)
        assert (await next_message(socket))["seq"] == last.seq
        await socket.close()


async def test_many_reconnects_under_steady_events_miss_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    def hesitant(recent: RecentEvents) -> Replay:
        async def replay(person: Person, since: int) -> list[Event]:
            events = await recent.replay(person, since)
            for _ in range(since % 7):
                await asyncio.sleep(0)
            return events

        return replay

    async with serving(tmp_path, replay=hesitant, sockets_per_user=30) as node:
        stop = asyncio.Event()
        starts = [node.publish().seq for _ in range(20)]

        async def publish() -> Event:
            while not stop.is_set():
                for _ in range(3):
                    node.publish()
                async with node.session.get(node.base):  # a round trip: the loop turns a few times
                    pass
            return node.publish(last=True)

        publisher = asyncio.create_task(publish())
        sockets = [await node.connect(since=since) for since in starts]
        stop.set()
        last = await publisher
        for since, socket in zip(starts, sockets, strict=True):
            seqs = [(await next_message(socket))["seq"] for _ in range(last.seq - since)]
            assert seqs == list(range(since + 1, last.seq + 1))
            await socket.close()


async def test_a_replay_that_fails_closes_the_socket_as_our_mistake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_recent: RecentEvents) -> Replay:
        async def replay(_person: Person, _since: int) -> list[Event]:
            raise OSError("the store is away")

        return replay

    async with serving(tmp_path, replay=broken) as node:
        socket = await node.connect(since=1)
        assert await close_code(socket) == CloseCode.INTERNAL_ERROR
    assert "missed events could not be replayed" in caplog.text


class Endless:
    """A store that always has another page, as long as somebody asks; and knows how often that was."""

    PAGE = 50

    def __init__(self) -> None:
        self.asked_by: list[str] = []
        self.begun = asyncio.Event()

    def __call__(self, _recent: RecentEvents) -> Replay:
        async def replay(person: Person, since: int) -> list[Event]:
            self.asked_by.append(person.id)
            self.begun.set()
            await asyncio.sleep(0)
            seqs = range(since + 1, since + 1 + self.PAGE)
            return [Event(seq, person, "otomo_status", FILLING) for seq in seqs]

        return replay


async def test_who_does_not_read_a_replay_is_sent_no_more_and_closed(tmp_path: Path) -> None:
    endless, limits = Endless(), Limits(ping_every_s=0.1, silent_after_s=0.4, close_within_s=0.1)
    async with serving(tmp_path, replay=endless, limits=limits) as node:
        async with RawClient.connected(node, path="/ws?since=0"):
            await endless.begun.wait()
            ann = Person("user", "ann")
            assert node.hub.online(ann)
            await eventually(lambda: node.hub.online(ann))
            await eventually(lambda: len(node.endpoint))
        assert len(endless.asked_by) * endless.PAGE * 1000 < 8 << 20, "it is read from the store without end"


async def test_who_reads_a_long_replay_and_answers_pings_is_not_taken_for_silent(tmp_path: Path) -> None:
    endless, limits = Endless(), Limits(ping_every_s=0.05, silent_after_s=0.3)
    async with serving(tmp_path, replay=endless, limits=limits) as node:
        socket = await node.connect(since=0)
        ends_at = time.monotonic() + 4 * limits.silent_after_s
        seqs = []
        while time.monotonic() < ends_at:
            seqs.append((await next_message(socket))["seq"])
        assert seqs == list(range(1, len(seqs) + 1))
        await socket.send_str('{"type":"ping"}')  # commands are done meanwhile, too
        while (await next_message(socket))["type"] != "pong":
            pass
        await socket.close()


async def test_a_replay_ends_with_its_socket(tmp_path: Path) -> None:
    held = HeldReplay()
    async with serving(tmp_path, replay=held, sockets_per_user=1) as node:
        first = await node.connect(since=0)
        await held.asked.wait()
        second = await node.connect()
        assert await close_code(first) == CloseCode.REPLACED
        await eventually(lambda: len(node.endpoint) != 1)
        assert (await ask(second, "ping"))["type"] == "pong"
        await second.close()


async def test_the_replays_of_one_user_take_turns_and_hold_up_nobody_else(tmp_path: Path) -> None:
    held, asked_by = HeldReplay(), []

    def watched(recent: RecentEvents) -> Replay:
        waiting = held(recent)

        async def replay(person: Person, since: int) -> Sequence[Event]:
            asked_by.append(person.id)
            return await waiting(person, since)

        return replay

    async with serving(tmp_path, replay=watched) as node:
        event = node.publish("ann", number=1)
        of_ann = [await node.connect("ann", since=0) for _ in range(3)]
        of_bob = await node.connect("bob", since=0)
        assert (await ask(of_bob, "ping"))["type"] == "pong"
        await eventually(lambda: "bob" not in asked_by)
        assert asked_by == ["ann", "bob"]
        held.answer.set()
        for socket in of_ann:
            assert (await next_message(socket))["seq"] == event.seq
        for socket in (*of_ann, of_bob):
            await socket.close()


async def test_who_does_not_read_is_closed_and_the_others_get_everything(tmp_path: Path) -> None:
    limits = Limits(outbox_frames=200, outbox_bytes=100_000)
    async with serving(tmp_path, limits=limits) as node, RawClient.connected(node) as stuck:
        fast = await node.connect()
        filling = "x" * 1000
        published = 0
        while node.hub.socket_count == 2:
            node.publish(filling=filling)
            published += 1
            assert (await next_message(fast))["seq"] == published  # the publisher goes on as fast as this one reads
            assert published < 100_000, "what the stuck client does not read is kept without end"
        received = await stuck.receive_all()
        assert received[-1] == close_frame(CloseCode.TOO_SLOW)
        seqs = [msgspec.json.decode(message)["seq"] for opcode, message in received[:-1] if opcode == TEXT]
        assert seqs == list(range(1, len(seqs) + 1))
        dropped = published - len(seqs)  # what waited in the outbox; what TCP had taken could not be taken back
        assert limits.outbox_bytes * 0.8 < dropped * len(filling) <= limits.outbox_bytes
        node.publish()
        assert (await next_message(fast))["seq"] == published + 1
        await fast.close()


async def test_who_never_reads_again_is_cut_off(tmp_path: Path) -> None:
    limits = Limits(outbox_frames=10, close_within_s=0.1)
    async with serving(tmp_path, limits=limits) as node, RawClient.connected(node):
        while node.hub.online(Person("user", "ann")):
            node.publish(filling="x" * 100_000)
            await asyncio.sleep(0)
        await node.endpoint.shut_down()
        assert len(node.endpoint) == 0


async def test_a_burst_within_the_limits_is_no_reason_to_close(node: Node) -> None:
    socket = await node.connect()
    for _ in range(1000):
        node.publish()
    assert [(await next_message(socket))["seq"] for _ in range(1000)] == list(range(1, 1001))
    await socket.close()


async def test_who_answers_pings_stays(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(ping_every_s=0.05, silent_after_s=0.2)) as node:
        socket = await node.connect(autoping=False)
        for _ in range(8):  # twice as long as one may be silent
            assert (await socket.receive(timeout=5)).type is WSMsgType.PING
            await socket.pong()
        assert (await ask(socket, "ping"))["type"] == "pong"
        await socket.close()


async def test_who_is_silent_is_pinged_and_then_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(ping_every_s=0.05, silent_after_s=0.2)) as node:
        async with RawClient.connected(node) as client:
            frames = await client.receive_all()
        assert frames[-1] == close_frame(CloseCode.SILENT)
        assert set(frames[:-1]) == {(PING, b"")}
        assert not node.hub.online(Person("user", "ann"))


async def test_a_loop_that_stood_still_takes_nobody_for_silent(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(ping_every_s=0.1, silent_after_s=0.2)) as node:
        socket = await node.connect()
        assert (await ask(socket, "ping"))["type"] == "pong"
        await socket.send_str('{"type":"ping"}')
        time.sleep(0.4)  # noqa: ASYNC251 -- the stall itself
        assert (await next_message(socket))["type"] == "pong"
        await socket.close()


async def test_a_command_that_takes_long_is_no_silence(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(ping_every_s=0.05, silent_after_s=0.1)) as node:
        node.desk.gate = asyncio.Event()
        socket = await node.connect(autoping=False)
        await socket.send_str('{"type":"call_end","payload":{"callId":"unknown"}}')
        for _ in range(5):
            assert (await socket.receive(timeout=5)).type is WSMsgType.PING
        node.desk.gate.set()
        while (message := await socket.receive(timeout=5)).type is WSMsgType.PING:
            pass
        assert msgspec.json.decode(message.data)["payload"]["code"] == "CALL_NOT_FOUND"
        await socket.close()


async def test_a_command_is_finished_though_its_socket_is_gone(node: Node) -> None:
    node.desk.gate = asyncio.Event()
    caller, otomo = await node.connect("ann"), await node.connect("bob", "otomo")
    await ask(caller, "call_request", otomoId="bob", callId="c1")
    await ask(otomo, "call_accept", callId="c1")
    await caller.send_str('{"type":"call_end","payload":{"callId":"c1"}}')
    caller._response.connection.transport.abort()
    node.publish("bob", "otomo")
    await next_message(otomo)
    assert node.desk.calls["c1"].state == "matched"
    node.desk.gate.set()
    await otomo.close()
    await node.endpoint.shut_down()
    assert node.desk.calls["c1"].state == "ended"


async def test_a_clients_ping_is_answered_with_its_content(node: Node) -> None:
    async with RawClient.connected(node) as client:
        await client.send(PING, b"are you there")
        assert await client.receive() == (PONG, b"are you there")


async def test_who_waits_for_the_end_of_tcp_gets_it_right_after_the_close_frame(node: Node) -> None:
    async with RawClient.connected(node) as client:
        node.hub.close_all(CloseCode.GOING_AWAY)
        async with asyncio.timeout(Limits().close_within_s / 2):
            assert await client.receive_all() == [close_frame(CloseCode.GOING_AWAY)]


@pytest.mark.parametrize(("sent", "answered"), [(b"", 1000), (b"\x03\xe8", 1000), (b"\x0f\xa0bye", 4000)])
async def test_a_clients_close_is_answered_and_ends_tcp(node: Node, sent: bytes, answered: int) -> None:
    async with RawClient.connected(node) as client:
        await client.send(CLOSE, sent)
        assert await client.receive_all() == [close_frame(answered)]
    assert not node.hub.online(Person("user", "ann"))


async def test_a_message_of_64_kib_is_read_and_a_byte_more_is_1009(node: Node) -> None:
    socket = await node.connect()
    head, tail = '{"type":"ping","payload":{"filling":"', '"}}'
    message = head + "x" * (64 * 1024 - len(head) - len(tail)) + tail
    await socket.send_str(message)
    assert (await next_message(socket))["payload"]["code"] == "BAD_REQUEST"
    await socket.send_str(message + " ")
    assert await close_code(socket) == CloseCode.MESSAGE_TOO_BIG


async def test_fragments_count_together(node: Node) -> None:
    async with RawClient.connected(node) as client:
        await client.send(TEXT, b"x" * 40_000, fin=False)
        await client.send(0, b"x" * 40_000)
        assert await client.receive_all() == [close_frame(CloseCode.MESSAGE_TOO_BIG)]


@pytest.mark.parametrize("size", [100_000, 1_000_000, 10_000_000])
async def test_who_sends_far_too_much_still_learns_why_it_is_closed(node: Node, size: int) -> None:
    async with RawClient.connected(node) as client:
        await client.send(TEXT, b"x" * size)  # a client that reads only when it has sent
        assert await client.receive_all() == [close_frame(CloseCode.MESSAGE_TOO_BIG)]


async def test_text_that_is_not_utf_8_is_1007_as_the_protocol_demands(node: Node) -> None:
    async with RawClient.connected(node) as client:
        await client.send(TEXT, b'{"type":"\xff"}')
        assert await client.receive_all() == [close_frame(1007)]


async def test_a_flood_that_reads_nothing_back_holds_up_itself_until_it_counts_as_silent(tmp_path: Path) -> None:
    """Few of its answers wait in the outbox: the rest of the flood waits in the client's own buffers."""
    limits = Limits(ping_every_s=0.2, silent_after_s=0.5, close_within_s=0.1)
    async with serving(tmp_path, limits=limits) as node, RawClient.connected(node, "flooding") as client:
        (connection,) = node.endpoint._gone

        async def flood() -> None:
            message = b'{"type":"' + b"x" * 60 + b'"}'
            while True:
                await client.send(TEXT, message)

        waiting: list[int] = []
        node.hub.on_presence(lambda user, _online: waiting.append(len(connection._outbox)))
        other = await node.connect()
        waiting.clear()
        flooding = asyncio.create_task(flood())
        while node.hub.online(Person("user", "flooding")):
            assert (await ask(other, "ping"))["type"] == "pong"
        pings = limits.silent_after_s / limits.ping_every_s
        assert 0 < waiting[0] <= ANSWERS_AHEAD + 1 + pings
        await other.close()
        with pytest.raises(ConnectionError):
            await flooding
