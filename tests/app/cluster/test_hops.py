"""The mark by which a node knows a peer."""

from __future__ import annotations

import pytest

from app.cluster.hops import GOOD_FOR_MS, HEADER, Hops, on_behalf_of
from app.person import Person

SECRET = "known to the nodes of this cluster alone"


class Clock:
    now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_peer_is_known(clock: Clock) -> None:
    mark = Hops(SECRET, clock).mark("POST", "/calls/a/end")[HEADER]
    assert Hops(SECRET, clock).is_peer(mark, "POST", "/calls/a/end")
    assert on_behalf_of(mark) is None


@pytest.mark.parametrize("person", [Person("user", "17"), Person("otomo", "日本 ∀ :"), Person("admin", "root")])
def test_a_mark_says_for_whom(clock: Clock, person: Person) -> None:
    mark = Hops(SECRET, clock).mark("GET", "/", person)[HEADER]
    assert Hops(SECRET, clock).is_peer(mark, "GET", "/")
    assert on_behalf_of(mark) == person


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/calls/a/end"), ("POST", "/calls/b/end"), ("POST", "/calls/a/end?x")]
)
def test_a_mark_is_good_for_what_it_was_made_for(clock: Clock, method: str, target: str) -> None:
    hops = Hops(SECRET, clock)
    assert not hops.is_peer(hops.mark("POST", "/calls/a/end")[HEADER], method, target)


def test_nobody_changes_for_whom_a_peer_asks(clock: Clock) -> None:
    hops = Hops(SECRET, clock)
    mark = hops.mark("GET", "/", Person("user", "17"))[HEADER]
    assert not hops.is_peer(mark.replace("user:17", "admin:root"), "GET", "/")
    assert not hops.is_peer(hops.mark("GET", "/")[HEADER] + " admin:root", "GET", "/")


@pytest.mark.parametrize("passed_ms", [GOOD_FOR_MS + 1, -GOOD_FOR_MS - 1])
def test_a_mark_is_of_its_moment(clock: Clock, passed_ms: int) -> None:
    hops = Hops(SECRET, clock)
    mark = hops.mark("GET", "/")[HEADER]
    clock.now_ms += passed_ms
    assert not hops.is_peer(mark, "GET", "/")


@pytest.mark.parametrize("mark", ["", " ", "x", "1000000", "1000000 00", "１０ 00", "-1 00", "1000000 é"])
def test_nonsense_is_no_peers(clock: Clock, mark: str) -> None:
    assert not Hops(SECRET, clock).is_peer(mark, "GET", "/")


def test_another_clusters_peers_are_not_ours(clock: Clock) -> None:
    mark = Hops("of another cluster, and just as long as it", clock).mark("GET", "/")[HEADER]
    assert not Hops(SECRET, clock).is_peer(mark, "GET", "/")
