"""The whole node, killed at any moment: nothing that was lived is lost, and nothing is charged that was not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from app.settings import Settings
from tests.app.ledger.postgres_cluster import running_cluster
from tests.crash.rounds import PATIENT_S, Crowd

KILLS = 4
FEW_KILLS = 2
TOO_SHORT_S = 0.1  # less than any start takes


async def killed(settings: Settings, kills: int, seed: int) -> None:
    survived = [one async for one in Crowd(settings, random.Random(seed)).survive(kills)]
    assert [sentence for one in survived for sentence in one.wrong] == []
    assert len(survived) == kills
    assert survived[-1].units > 0, "no unit was charged: this proves nothing"
    assert sum(one.proven for one in survived) > 0, "no call was proven to live on"
    went_on = sum(one.went_on for one in survived)
    assert went_on > 0 if settings.reconnect_window_s >= PATIENT_S else went_on == 0


@pytest.mark.timeout(300)  # many starts, one after another
async def test_a_killed_node_is_put_in_order_by_its_next_start(own_settings: Callable[..., Settings]) -> None:
    await killed(own_settings(reconnect_window_s=PATIENT_S), KILLS, seed=7)


@pytest.mark.timeout(300)  # many starts, one after another
async def test_a_start_that_comes_too_late_ends_what_it_finds(own_settings: Callable[..., Settings]) -> None:
    await killed(own_settings(reconnect_window_s=TOO_SHORT_S), FEW_KILLS, seed=9)


@pytest.mark.timeout(300)  # many starts, one after another
async def test_so_it_is_on_postgresql(own_settings: Callable[..., Settings]) -> None:
    with running_cluster() as cluster:
        settings = own_settings(reconnect_window_s=PATIENT_S, database_url=cluster.new_database())
        await killed(settings, FEW_KILLS, seed=8)
