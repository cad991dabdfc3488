"""Ids that say which node gave them."""

from __future__ import annotations

import uuid

import pytest

from app.cluster.ids import number_of, numbered_ids


@pytest.mark.parametrize("number", [0, 1, 0xABC, 0xFFFF])
def test_an_id_is_a_uuid_of_version_4_and_names_its_node(number: int) -> None:
    ids = numbered_ids(lambda: number)
    made = next(ids)
    assert (str(uuid.UUID(made)), uuid.UUID(made).version) == (made, 4)
    assert number_of(made) == number
    assert next(ids) != made


@pytest.mark.parametrize("text", ["", "xyz", "gggg-0000", "-"])
def test_what_is_no_id_names_nobody(text: str) -> None:
    assert number_of(text) == -1
