"""The schema of the worker that this machine has, as bytes, as text, and as the codec that it drives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fbs_text import ROOT, Generator, Schema, read_schema

from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT
from worker_bridge.native import locate

SCALE = float(os.environ.get("CODEC_FUZZ_SCALE", "1"))  # of the number of random trials; `make test-sanitize` raises it


@pytest.fixture(scope="session")
def schema_path() -> Path:
    return locate().schema


@pytest.fixture(scope="session")
def codec(schema_path: Path) -> Codec:
    return Codec(schema_path.read_bytes(), ROOT, FRAME_LIMIT)


@pytest.fixture(scope="session")
def text_schema(schema_path: Path) -> Schema:
    return read_schema(schema_path.parent / "fbs")


@pytest.fixture(scope="session")
def scale() -> float:
    return SCALE


@pytest.fixture(scope="session")
def frames(codec: Codec, text_schema: Schema) -> list[bytes]:
    """Frames of random messages, none of them tiny: the seeds that are corrupted."""
    made = [codec.encode(Generator(text_schema, seed).table(ROOT, depth=3 + seed % 10)[0]) for seed in range(400)]
    return [frame for frame in made if len(frame) > 100]
