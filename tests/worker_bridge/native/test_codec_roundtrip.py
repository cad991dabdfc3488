"""Random messages of the whole schema, there and back, against what the schema's text says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.worker_bridge.native.fbs_text import ROOT, Generator, Schema
from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT

MESSAGES = 1000
OF_EACH_TABLE = 12


def same(left: Any, right: Any) -> bool:
    return bool(left == right) and repr(left) == repr(right)  # repr also tells -0.0, True and bytearray apart


def check_round_trip(codec: Codec, given: dict[str, Any], expected: dict[str, Any], label: str) -> None:
    frame = codec.encode(given)
    decoded = codec.decode(frame)
    assert same(decoded, expected), label
    assert codec.encode(decoded) == frame, label


def test_messages_survive_the_way_there_and_back(codec: Codec, text_schema: Schema, scale: float) -> None:
    for seed in range(int(MESSAGES * scale)):
        given, expected = Generator(text_schema, seed).table(ROOT, depth=seed % 12)
        check_round_trip(codec, given, expected, f"seed {seed}")


def test_every_table_of_the_schema_survives_the_way_there_and_back(
    schema_path: Path, text_schema: Schema, scale: float
) -> None:
    schema = schema_path.read_bytes()
    for table in text_schema.tables:
        codec = Codec(schema, table, FRAME_LIMIT)
        for seed in range(int(OF_EACH_TABLE * scale)):
            given, expected = Generator(text_schema, seed).table(table, depth=seed % 4)
            check_round_trip(codec, given, expected, f"{table}, seed {seed}")


def test_enums_and_unions_are_those_of_the_text(codec: Codec, text_schema: Schema) -> None:
    for name, values in text_schema.enums.items():
        assert codec.values(name) == values
    for name, members in text_schema.unions.items():
        assert codec.values(name) == {"NONE": 0, **{member: tag for tag, member in enumerate(members, 1)}}


def test_threads_share_one_codec(codec: Codec, text_schema: Schema) -> None:
    pairs = [Generator(text_schema, seed).table(ROOT, depth=5) for seed in range(200)]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(3):
            wrong.extend(
                n for n, (given, expected) in enumerate(pairs) if codec.decode(codec.encode(given)) != expected
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_no_schema_is_refused(schema_path: Path) -> None:
    schema = schema_path.read_bytes()
    for wrong in (b"", b"\0" * 64, schema[:1000], schema[:-8], bytes(reversed(schema))):
        with pytest.raises(ValueError, match="not a binary schema"):
            Codec(wrong, ROOT, 100)
    with pytest.raises(ValueError, match="no table"):
        Codec(schema, "FBS.Nothing", 100)
