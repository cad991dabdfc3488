"""Who is in a cluster, found out by nodes that beat on a real PostgreSQL."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

import pytest

from app.cluster.membership import MISSED_MS, SILENT_MS, Membership, View, session_name
from app.ledger import Ledger, claimed
from app.ledger.errors import DatabaseClaimed
from app.ledger.nodes import Joining, Misfit, Node, new_incarnation
from app.ledger.upgrade import upgrade
from tests.app.ledger.ledger_samples import CONNECTED, end_call, matched_call, open_call
from tests.app.ledger.postgres_cluster import Cluster, running_cluster
from tests.conftest import eventually

LEASE_S = 2.0
NOBODY_THERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
async def url(postgresql: Cluster) -> str:
    made = postgresql.new_database()
    await upgrade(made)
    return made


def joined(
    url: str, name: str, config_hash: str = "alike", address: str = NOBODY_THERE
) -> AbstractAsyncContextManager[Membership]:
    joining = Joining(
        incarnation=new_incarnation(name),
        name=name,
        address=address,
        session=session_name(),
        version="1",
        config_hash=config_hash,
    )
    return Membership.joined(url, joining, LEASE_S)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


def names(membership: Membership) -> list[str]:
    return sorted(one.name for one in membership.view.others)


async def sees(membership: Membership, *others: str) -> None:
    await eventually(lambda: names(membership) != sorted(others) and f"it sees {names(membership)}")


async def test_nodes_see_one_another_by_different_numbers(url: str, stack: AsyncExitStack) -> None:
    one, two, three = [await stack.enter_async_context(joined(url, name)) for name in ("one", "two", "three")]
    await sees(one, "two", "three")
    await sees(three, "one", "two")
    assert sorted(membership.view.me.number for membership in (one, two, three)) == [1, 2, 3]
    assert one.least_stressed() in one.view.others


async def test_who_leaves_is_gone_at_once(url: str, stack: AsyncExitStack) -> None:
    one = await stack.enter_async_context(joined(url, "one"))
    async with joined(url, "two"):
        await sees(one, "two")
    await sees(one)


async def test_the_calls_that_a_node_leaves_are_counted_until_it_has_none(url: str, stack: AsyncExitStack) -> None:
    one = await stack.enter_async_context(joined(url, "one"))
    async with joined(url, "two") as two:
        ledger = await stack.enter_async_context(Ledger.open(url, node=two.node))
        for number in range(2):
            await open_call(ledger, matched_call(f"call {number}", f"user {number}", f"otomo {number}"))
        await sees(one, "two")
    await eventually(lambda: left(one) != {"two": 2} and f"left are {left(one)}")
    await end_call(ledger, "call 0", reason="test", ended_at_ms=CONNECTED, duration_seconds=0)
    await eventually(lambda: left(one) != {"two": 1} and f"left are {left(one)}")


async def test_what_a_dead_node_leaves_is_shared_out_and_then_whoevers_comes_first(
    url: str, stack: AsyncExitStack
) -> None:
    one, two = [await stack.enter_async_context(joined(url, name)) for name in ("one", "two")]
    two.load = lambda: (0.0, 100)  # as it was at its last beat: what it has by now counts
    shares: list[list[int]] = [[], []]
    one.on_orphans, two.on_orphans = (heard.append for heard in shares)
    async with joined(url, "three") as three:
        ledger = await stack.enter_async_context(Ledger.open(url, node=three.node))
        for number in range(5):
            await open_call(ledger, matched_call(f"call {number}", f"user {number}", f"otomo {number}"))
        ledger.node = two.node
        await open_call(ledger, matched_call("call 5", "user 5", "otomo 5"))
        await sees(one, "two", "three")
        await eventually(lambda: one.view.others[0].calls != 100 and "it does not know what the other has said")
    await eventually(lambda: not all(5 in heard for heard in shares) and f"heard are {shares}")
    assert [heard[0] for heard in shares] == [3, 2]  # so that each has three


@pytest.mark.parametrize(
    ("mine", "others", "dead", "share"),
    [
        (0, (0, 0), (4,), 2),
        (100, (0,), (100,), 0),
        (0, (100,), (100,), 100),
        (10, (40, 0), (30, 10), 20),
        (3, (), (2,), 2),
        (7, (1,), (0,), 0),
    ],
)
def test_a_share_makes_all_alike(mine: int, others: tuple[int, ...], dead: tuple[int, ...], share: int):
    def nodes(all_calls: tuple[int, ...], state: str = "up") -> tuple[Node, ...]:
        return tuple(node_with(calls, state) for calls in all_calls)

    draining = node_with(500, "draining")
    assert View(node_with(mine), (*nodes(others), draining), nodes(dead, "gone"), 0.0).share() == share
    assert View(draining, nodes((mine, *others)), nodes(dead, "gone"), 0.0).share() == 0


@pytest.mark.parametrize(
    ("silent_ms", "next_in_s"),
    [
        ((), 0.3),
        ((0, 290), 0.3),
        ((10, 400), 0.051),
        ((460,), 0.3),
        ((10, 750), 0.151),
        ((900,), 0.001),
        ((901,), 0.3),  # it was looked at, and its lock is held
        ((3_900,), 0.101),
        ((9_000,), 0.3),
    ],
)
def test_a_silence_is_seen_as_soon_as_it_is_too_long(silent_ms: tuple[int, ...], next_in_s: float):
    now_ms = 100_000
    others = tuple(replace(node_with(0), beat_ms=now_ms - silent) for silent in silent_ms)
    view = View(replace(node_with(0), beat_ms=now_ms), others, (), 0.0)
    assert view.until_next_s(4.0) == pytest.approx(next_in_s)


def node_with(calls: int, state: str = "up") -> Node:
    return Node(
        incarnation="name-1",
        number=1,
        name="name",
        address=NOBODY_THERE,
        session="session",
        version="1",
        protocol=1,
        config_hash="alike",
        state=state,
        beat_ms=0,
        steady_ms=0,
        calls=calls,
    )


def left(membership: Membership) -> dict[str, int]:
    return {node.name: node.calls for node in membership.view.gone}


async def test_who_was_told_something_else_does_not_join(url: str, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(joined(url, "one"))
    with pytest.raises(Misfit, match="node one has other settings"):
        await stack.enter_async_context(joined(url, "two", "otherwise"))


async def test_a_lone_node_and_a_cluster_exclude_each_other(url: str) -> None:
    async with joined(url, "one"):
        with pytest.raises(DatabaseClaimed):
            async with claimed(url, patience_s=0):
                pass
    async with claimed(url):
        with pytest.raises(DatabaseClaimed):
            async with joined(url, "one"):
                pass


async def test_a_node_that_beats_no_more_is_declared_dead_and_joins_again(url: str, stack: AsyncExitStack) -> None:
    one, two = [await stack.enter_async_context(joined(url, name)) for name in ("one", "two")]
    lost: list[str] = []
    two.on_lost = lost.append
    await sees(one, "two")
    before = two.node
    two.load = frozen = Frozen()  # asked at each beat: stands still, as a stopped process does
    await sees(one)
    assert lost == []
    frozen.goes_on = True
    await eventually(lambda: not lost and "it has not heard that it is dead")
    await sees(one, "two")
    assert lost == [two.node]
    assert two.node != before


@pytest.mark.parametrize("listens", [False, True])
async def test_one_whose_process_has_ended_is_dead_at_once_where_its_machine_says_so(
    url: str, stack: AsyncExitStack, listens: bool
) -> None:
    """Only its session is cut here, and its row says who listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "http://{}:{}".format(*server.getsockname())
        one = await stack.enter_async_context(joined(url, "one"))
        two = await stack.enter_async_context(joined(url, "two", address=address if listens else NOBODY_THERE))
        await sees(one, "two")
        await eventually(lambda: steady_ms(one) < 1000 * LEASE_S and "it is not steady yet")
        two.load = Frozen()  # its session is closed, and no other one beats
        await sees(one)
        [dead] = one.view.gone
        silent_ms = one.view.me.beat_ms - dead.beat_ms
    assert MISSED_MS < silent_ms < SILENT_MS if not listens else silent_ms > SILENT_MS


def steady_ms(membership: Membership) -> int:
    return membership.view.me.beat_ms - membership.view.me.steady_ms


class Frozen:
    """Beats fail while it is frozen."""

    goes_on = False

    def __call__(self) -> tuple[float, int]:
        if not self.goes_on:
            raise TimeoutError("it stands still")
        return 0.0, 0


async def test_the_clock_is_the_databases(url: str, stack: AsyncExitStack) -> None:
    one, two = [await stack.enter_async_context(joined(url, name)) for name in ("one", "two")]
    assert abs(one.clock_ms() - two.clock_ms()) < 100
