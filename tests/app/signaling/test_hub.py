"""Who is online, who is told, and what it costs."""

from __future__ import annotations

import pytest

from app.access.tokens import Claims
from app.person import Person
from app.signaling.hub import Event, Hub
from tests.app.signaling.signaling_node import Node, ask, close_code, next_message

ANN, BOB = Person("user", "ann"), Person("user", "bob")


async def test_presence_changes_with_the_first_and_the_last_socket(node: Node) -> None:
    seen: list[tuple[Person, bool]] = []
    node.hub.on_presence(lambda user, online: seen.append((user, online)))
    first, second, other = await node.connect(), await node.connect(), await node.connect("bob")
    assert seen == [(ANN, True), (BOB, True)]
    assert (node.hub.user_count, node.hub.socket_count) == (2, 3)
    await first.close()
    await ask(second, "ping")
    assert node.hub.online(ANN)
    await second.close()
    await ask(other, "ping")
    assert seen == [(ANN, True), (BOB, True), (ANN, False)]
    assert not node.hub.online(ANN)
    await other.close()
    again = await node.connect()
    assert seen[3:] == [(BOB, False), (ANN, True)]
    await again.close()


async def test_who_is_connected_is_online_at_once(node: Node) -> None:
    socket = await node.connect()
    assert node.hub.online(ANN)
    await socket.close()


async def test_a_user_and_an_otomo_with_one_id_have_their_own_events(node: Node) -> None:
    user, otomo = await node.connect("17", "user"), await node.connect("17", "otomo")
    assert node.hub.user_count == 2
    node.hub.publish(Event(1, Person("otomo", "17"), "call_end", b"{}"))
    assert (await ask(user, "ping"))["type"] == "pong", "of the other's event nothing came before it"
    assert (await next_message(otomo))["seq"] == 1
    await user.close()
    await otomo.close()


async def test_people_are_listed_by_role(node: Node) -> None:
    sockets = [await node.connect("ann", "user"), await node.connect("ann", "user"), await node.connect("bob", "otomo")]
    assert node.hub.people("user") == [ANN]
    assert node.hub.people("otomo") == [Person("otomo", "bob")]
    assert node.hub.people("admin") == []
    assert not node.hub.online(Person("otomo", "ann"))
    assert not node.hub.online(Person("user", "nobody"))
    for socket in sockets:
        await socket.close()


async def test_a_listener_that_fails_is_logged_and_spoils_nothing(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_person: Person, _online: bool) -> None:
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
    assert not node.hub.online(ANN)
    assert [await close_code(socket) for socket in sockets] == [1012, 1012]


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
    hub.publish(Event(5, ANN, "call_end", b'{"callId": "c"}'))
    (_, message), *others = [socket.got[0] for socket in sockets]
    assert message == b'{"type":"call_end","payload":{"callId": "c"},"seq":5}'
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
    hub.publish(Event(1, ANN, "call_end", b"{}"))
    assert [len(socket.got) for socket in sockets] == [1, 1, 1]
    assert not hub.online(ANN)


def test_leaving_twice_or_never_having_joined_is_harmless() -> None:
    hub = Hub()
    seen: list[bool] = []
    hub.on_presence(lambda _user, online: seen.append(online))
    socket, stranger = Listening(hub, "ann"), Listening(hub, "ann")
    hub.join(socket)
    hub.leave(stranger)
    assert hub.online(ANN)
    hub.leave(socket)
    hub.leave(socket)
    assert seen == [True, False]


async def test_what_all_users_are_told_is_encoded_once_and_reaches_each_of_their_sockets(node: Node) -> None:
    class Counted(Event):
        encoded = 0

        def encode(self) -> bytes:
            Counted.encoded += 1
            return super().encode()

    users = [await node.connect(user_id, "user") for user_id in ("ann", "ann", "bob", "cid")]
    otomo = await node.connect("dan", "otomo")
    node.hub.publish(Counted(7, None, "otomo_status", b'{"otomoId":"dan","status":"online"}'))
    for socket in users:
        assert await next_message(socket) == {
            "type": "otomo_status", "payload": {"otomoId": "dan", "status": "online"}, "seq": 7
        }  # fmt: skip
    assert Counted.encoded == 1
    assert (await ask(otomo, "ping"))["type"] == "pong", "otomos are not told"
    for socket in (*users, otomo):
        await socket.close()
