"""What makes a node full."""

from __future__ import annotations

import pytest

from app.ops.stress import CPU_FULL_PERCENT, LAG_FULL_MS, PACKETS_FULL, of_node, of_worker


def test_a_worker_is_as_stressed_as_what_it_has_least_left_of():
    assert of_worker(0.0, 0.0).value == 0
    assert of_worker(CPU_FULL_PERCENT, 10.0).value == pytest.approx(1.0)
    assert "CPU" in of_worker(CPU_FULL_PERCENT, 10.0).cause
    assert of_worker(10.0, 2 * PACKETS_FULL).value == pytest.approx(2.0)
    assert "packets" in of_worker(10.0, 2 * PACKETS_FULL).cause


def test_a_node_has_room_while_one_worker_has():
    full, half = of_worker(CPU_FULL_PERCENT, 0.0), of_worker(CPU_FULL_PERCENT / 2, 0.0)
    assert of_node([full, half], 0.0).value == pytest.approx(0.5)
    assert of_node([full, full], 0.0).value == pytest.approx(1.0)


def test_a_loop_that_is_late_fills_the_node_whatever_its_workers_do():
    late = of_node([of_worker(1.0, 1.0)], LAG_FULL_MS)
    assert late.value == pytest.approx(1.0)
    assert "loop" in late.cause
    assert of_node([], LAG_FULL_MS / 2).value == pytest.approx(0.5)
