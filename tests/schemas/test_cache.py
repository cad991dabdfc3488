"""The memory of accepted values: same content, same object; bounded in count and bytes; refusals not kept."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from sample_bodies import CAPABILITIES, CHROME_AUDIO, GOOD, PRODUCER_ID, TRANSPORT_ID

from schemas.base import parse
from schemas.cache import MAX_BYTES, MAX_ENTRIES, MAX_ENTRY_BYTES, ContentCache
from schemas.consumer import ConsumeRequest, ConsumeRequestSchema
from schemas.producer import ProduceRequest, ProduceRequestSchema


def produce(rtp_parameters: dict[str, Any]) -> ProduceRequest:
    body = {"callId": "c", "transportId": TRANSPORT_ID, "kind": "audio", "rtpParameters": rtp_parameters}
    return parse(ProduceRequestSchema, orjson.dumps(body))


def test_equal_codecs_and_extensions_are_the_same_objects_and_the_rest_is_fresh() -> None:
    first = produce(CHROME_AUDIO | {"mid": "1"}).rtp_parameters
    second = produce(CHROME_AUDIO | {"mid": "2", "encodings": [{"ssrc": 7}]}).rtp_parameters
    assert first.codecs is second.codecs
    assert first.header_extensions is second.header_extensions
    assert (first.mid, second.mid) == ("1", "2")
    assert second.encodings[0].ssrc == 7


def test_equal_capabilities_are_the_same_object() -> None:
    def consume() -> ConsumeRequest:
        body = {"callId": "c", "transportId": TRANSPORT_ID, "producerId": PRODUCER_ID, "rtpCapabilities": CAPABILITIES}
        return parse(ConsumeRequestSchema, orjson.dumps(body))

    assert consume().rtp_capabilities is consume().rtp_capabilities


@pytest.mark.parametrize("similar", [True, 1.5, "1", None, 0])
def test_values_that_python_takes_for_equal_are_told_apart(similar: Any) -> None:
    codec = CHROME_AUDIO["codecs"][0]

    def with_stereo(value: Any) -> Any:
        return produce(CHROME_AUDIO | {"codecs": [codec | {"parameters": {"stereo": value}}]})

    stored = dict(with_stereo(1).rtp_parameters.codecs[0].parameters)["stereo"]
    assert (stored, type(stored)) == (1, int)
    if similar is True:
        with pytest.raises(Exception, match="must be a string or a number"):
            with_stereo(similar)
        return
    stored = dict(with_stereo(similar).rtp_parameters.codecs[0].parameters)["stereo"]
    expected = "" if similar is None else similar
    assert (stored, type(stored)) == (expected, type(expected))


def test_the_number_of_entries_is_bounded_and_the_oldest_goes_first() -> None:
    asked: list[Any] = []
    cache = ContentCache(lambda value: asked.append(value) or object())
    for number in range(MAX_ENTRIES):
        cache([number])
    first = cache([0])  # used again: now [1] is the oldest
    cache(["one more"])
    assert len(cache) == MAX_ENTRIES
    assert cache([0]) is first
    asked.clear()
    cache([1])
    assert asked == [[1]]


def test_the_bytes_are_bounded_and_what_is_large_is_not_kept() -> None:
    cache = ContentCache(len)
    for number in range(1000):
        cache([number, "x" * (MAX_ENTRY_BYTES // 2)])
        assert cache.bytes_held <= MAX_BYTES
    assert 1 < len(cache) < MAX_ENTRIES
    held = cache.bytes_held
    assert cache(["y" * MAX_ENTRY_BYTES]) == 1
    assert cache.bytes_held == held


def test_a_refusal_is_not_remembered() -> None:
    answers = iter([ValueError("no"), None])

    def check(value: Any) -> str:
        if error := next(answers):
            raise error
        return "yes"

    cache = ContentCache(check)
    with pytest.raises(ValueError, match="no"):
        cache([1])
    assert len(cache) == 0
    assert cache([1]) == "yes"


def test_every_body_of_the_sweep_reads_the_same_with_a_warm_memory() -> None:
    for schema, body in GOOD.items():
        assert parse(schema, orjson.dumps(body)) == parse(schema, orjson.dumps(body))
