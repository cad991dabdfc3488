"""RTP values: frozen, and found again by content."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from tests.worker_bridge.rtp_samples import camera, microphone
from worker_bridge.rtp import (
    Parameters,
    RtpCapabilities,
    parameters,
)


def test_values_are_frozen_and_equal_by_content() -> None:
    one, other = microphone(), microphone()
    assert one is not other
    assert (one, hash(one)) == (other, hash(other))
    with pytest.raises(AttributeError, match="immutable"):
        one.mid = "1"  # type: ignore[misc]
    assert len({one, other, camera()}) == 2
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert RtpCapabilities() == RtpCapabilities((), ())


def test_parameters_are_a_mapping_that_cannot_be_changed() -> None:
    given = {"b": 1, "a": "x"}
    frozen = parameters(given, c=2.5)
    given["b"] = 2
    assert dict(frozen) == {"a": "x", "b": 1, "c": 2.5}
    assert list(frozen) == ["a", "b", "c"]
    assert frozen == Parameters({"c": 2.5, "a": "x", "b": 1}) == {"a": "x", "b": 1, "c": 2.5}
    assert hash(frozen) == hash(parameters(a="x", b=1, c=2.5))
    assert frozen.get("d") is None
    assert not parameters()
    changes: list[Callable[[], object]] = [
        lambda: frozen.__setitem__("b", 3),
        lambda: frozen.__delitem__("b"),
        lambda: frozen.update(b=3),
        lambda: frozen.__ior__({"b": 3}),
        lambda: frozen.pop("b"),
        frozen.popitem,
        frozen.clear,
        lambda: frozen.setdefault("d", 1),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="can't be changed"):
            change()
    assert dict(frozen) == {"a": "x", "b": 1, "c": 2.5}
