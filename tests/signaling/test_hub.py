"""Who is online, who is told, and what it costs."""

from __future__ import annotations

import pytest
from signaling_node import Node, ask, close_code, next_message

from app.auth import Claims
from app.signaling.hub import Event, Hub


async def test_presence_changes_with_the_first_and_the_last_socket(node: Node) -> None:
    seen: list[tuple[str, bool]] = []
    node.hub.on_presence(lambda user, online: seen.append((user, online)))
    first, second, other = await node.connect(), await node.connect(), await node.connect("bob")
    assert seen == [("ann", True), ("bob", True)]
    assert (node.hub.user_count, node.hub.socket_count) == (2, 3)
    await first.close()
    await ask(second, "ping")
    assert node.hub.online("ann")
    await second.close()
    await ask(other, "ping")
    assert seen == [("ann", True), ("bob", True), ("ann", False)]
    assert not node.hub.online("ann")
    await other.close()
    again = await node.connect()
    assert seen[3:] == [("bob", False), ("ann", True)]
    await again.close()


async def test_who_is_connected_is_online_at_once(node: Node) -> None:
    socket = await node.connect()
    assert node.hub.online("ann")
    await socket.close()


async def test_users_are_listed_by_role(node: Node) -> None:
    sockets = [await node.connect("ann", "user"), await node.connect("ann", "user"), await node.connect("bob", "otomo")]
    assert node.hub.users("user") == ["ann"]
    assert node.hub.users("otomo") == ["bob"]
    assert node.hub.users("admin") == []
    assert node.hub.online_as("ann", "user")
    assert not node.hub.online_as("ann", "otomo")
    assert not node.hub.online_as("nobody", "user")
    for socket in sockets:
        await socket.close()


async def test_a_listener_that_fails_is_logged_and_spoils_nothing(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_user: str, _online: bool) -> None:
        raise RuntimeError("the listener's own mistake")

    seen: list[bool] = []
    node.hub.on_presence(broken)
    node.hub.on_presence(lambda _user, online: seen.append(online))
    socket = await node.connect()
    assert (await ask(socket, "ping"))["type"] == "pong"
    assert seen == [True]
    assert "the listener's own mistake" in caplog.text
    await socket.close()


async def test_close_all_says_the_code_that_it_is_given(node: Node) -> None:
    sockets = [await node.connect("ann"), await node.connect("bob")]
    node.hub.close_all(1012)
    assert node.hub.closed
    assert not node.hub.online("ann")
    assert [await close_code(socket) for socket in sockets] == [1012, 1012]


async def test_an_event_that_is_no_json_raises_and_is_sent_to_nobody(node: Node) -> None:
    socket = await node.connect()
    with pytest.raises(TypeError):
        node.hub.publish(Event(1, "ann", "call_end", {"at": object()}))
    event = node.tell()
    assert (await next_message(socket))["seq"] == event.seq
    await socket.close()


class Listening:
    """A socket that keeps what it is handed."""

    def __init__(self, hub: Hub, user_id: str) -> None:
        self.claims = Claims(user_id, "user", 0.0)
        self.got: list[tuple[int, bytes]] = []
        self.closed: list[int] = []
        self._hub = hub

    def deliver(self, seq: int, message: bytes) -> None:
        self.got.append((seq, message))

    def close(self, code: int) -> None:
        self.closed.append(code)
        self._hub.leave(self)


def test_an_event_is_encoded_once_for_all_sockets_of_its_user() -> None:
    hub = Hub()
    sockets = [Listening(hub, "ann") for _ in range(3)]
    for socket in sockets:
        hub.join(socket)
    hub.publish(Event(5, "ann", "call_end", {"callId": "c"}))
    (_, message), *others = [socket.got[0] for socket in sockets]
    assert message == b'{"type":"call_end","payload":{"callId":"c"},"seq":5}'
    assert all(other is message for _, other in others)


def test_a_socket_that_leaves_while_an_event_is_handed_out_hides_it_from_nobody() -> None:
    class Leaving(Listening):
        def deliver(self, seq: int, message: bytes) -> None:
            super().deliver(seq, message)
            self.close(4008)

    hub = Hub()
    sockets = [Leaving(hub, "ann") for _ in range(3)]
    for socket in sockets:
        hub.join(socket)
    hub.publish(Event(1, "ann", "call_end", {}))
    assert [len(socket.got) for socket in sockets] == [1, 1, 1]
    assert not hub.online("ann")


def test_leaving_twice_or_never_having_joined_is_harmless() -> None:
    hub = Hub()
    seen: list[bool] = []
    hub.on_presence(lambda _user, online: seen.append(online))
    socket, stranger = Listening(hub, "ann"), Listening(hub, "ann")
    hub.join(socket)
    hub.leave(stranger)
    assert hub.online("ann")
    hub.leave(socket)
    hub.leave(socket)
    assert seen == [True, False]
