"""Which bytes a request asks for, by RFC 9110 §14."""

from __future__ import annotations

import pytest

from app.errors import RangeNotSatisfiable, answer_to
from app.http.ranges import asked_range

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 1000)),
        ("bytes=500-600", (500, 601)),
        ("bytes=999-", (999, 1000)),
        ("bytes=900-5000", (900, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-1000", (0, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("BYTES= 1-2 ", (1, 3)),
        (f"bytes=0-{10**40}", (0, 1000)),
    ],
)
def test_a_range_is_what_it_says_as_far_as_there_is_something(header, span):
    assert asked_range(header, SIZE) == span


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=1-2,5-6", "lines=1-2", "bytes=١-٢"],
)
def test_what_is_no_single_range_of_bytes_is_answered_with_everything(header):
    assert asked_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", f"bytes={10**30}-", "bytes=-0"])
def test_what_lies_behind_the_end_is_refused_with_the_size(header):
    with pytest.raises(RangeNotSatisfiable) as refused:
        asked_range(header, SIZE)
    answer = answer_to(refused.value)
    assert (answer.status, dict(answer.headers)) == (416, {"Content-Range": "bytes */1000"})


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5"])
def test_of_nothing_there_is_no_part(header):
    with pytest.raises(RangeNotSatisfiable):
        asked_range(header, 0)
