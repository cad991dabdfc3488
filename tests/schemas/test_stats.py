"""The statistics that are answered are those that the bridge has, by name; what they hold is tested in a real call."""

from __future__ import annotations

import pytest

from schemas.base import Answer
from schemas.stats import StreamStats, TransportStats, TupleStats
from worker_bridge import stats

OF_OTHER_TRANSPORTS = {"tuple", "rtcp_tuple", "rtcp_mux", "comedia"}


@pytest.mark.parametrize(
    ("answered", "known"),
    [(TransportStats, stats.TransportStats), (StreamStats, stats.RtpStreamStats), (TupleStats, stats.TupleStats)],
)
def test_every_name_of_the_bridge_is_a_field(answered: type[Answer], known: type) -> None:
    assert set(answered.__struct_fields__) == known.__annotations__.keys() - OF_OTHER_TRANSPORTS
