"""Ids of objects in a worker."""

from __future__ import annotations

import uuid
from itertools import islice

from worker_bridge.ids import DRAWN_AT_ONCE, uuids


def test_ids_are_uuids_of_version_4_and_none_comes_twice() -> None:
    made = list(islice(uuids(), 3 * DRAWN_AT_ONCE))
    assert len(set(made)) == len(made)
    read = [uuid.UUID(one) for one in made]
    assert [str(one) for one in read] == made
    assert {(one.version, one.variant) for one in read} == {(4, uuid.RFC_4122)}


def test_two_sources_have_no_id_in_common() -> None:
    assert set(islice(uuids(), DRAWN_AT_ONCE)).isdisjoint(islice(uuids(), DRAWN_AT_ONCE))
