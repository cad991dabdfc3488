"""The schema of the worker that this machine has, as bytes, as text, and as the codec that it drives."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.worker_bridge.native.fbs_text import ROOT, Generator, Schema, read_schema
from tests.worker_bridge.native.stand_ins import RUNS, write_executable
from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT
from worker_bridge.native import cache, locate
from worker_bridge.native.edits import EDITS

SCALE = float(os.environ.get("CODEC_FUZZ_SCALE", "1"))  # of the number of random trials; `make test-sanitize` raises it


@pytest.fixture(scope="session")
def schema_path() -> Path:
    return locate().schema


@pytest.fixture(scope="session")
def real_binary() -> Path:
    return locate().binary


@pytest.fixture(scope="session")
def codec(schema_path: Path) -> Codec:
    return Codec(schema_path.read_bytes(), ROOT, FRAME_LIMIT)


@pytest.fixture(scope="session")
def text_schema(schema_path: Path) -> Schema:
    return read_schema(schema_path.parent / cache.SCHEMA_TEXT)


@pytest.fixture(scope="session")
def scale() -> float:
    return SCALE


@pytest.fixture(scope="session")
def frames(codec: Codec, text_schema: Schema) -> list[bytes]:
    """Frames of random messages, none of them tiny: the seeds that are corrupted."""
    made = [codec.encode(Generator(text_schema, seed).table(ROOT, depth=3 + seed % 10)[0]) for seed in range(400)]
    return [frame for frame in made if len(frame) > 100]


# ---------------------------------------------------------------- a machine of its own, to locate and build on


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an environment that names no worker. Returns where the workers will be."""
    for name in cache.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache.cache_root()


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a single program. Returns the folder where those can be put that it shall have."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python3"))
    return folder


@pytest.fixture
def filled_cache(no_cache: Path, schema_path: Path) -> Path:
    """A cache with something in the worker's place that is located, but is no worker. Returns the worker's folder."""
    return filled(cache.worker_folder(), schema_path)


@pytest.fixture
def packaged(tmp_path: Path, schema_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same where a wheel carries its worker."""
    monkeypatch.setattr(cache, "PACKAGED", tmp_path / "packaged")
    return filled(cache.PACKAGED, schema_path)


def filled(folder: Path, schema_path: Path) -> Path:
    binary = write_executable(folder / cache.BINARY, RUNS)
    shutil.copy(schema_path, folder / cache.SCHEMA)
    (folder / cache.SCHEMA_TEXT).mkdir()
    cache.Manifest(cache.worker_version(), "built", cache.sha256_of(binary), cache.recipe_hash()).write(folder)
    return folder


# ---------------------------------------------------------------- sources of a worker, laid out as the release's


WORKER_MESON = """common_sources = [
  'src/RTC/Router.cpp',
]

library('libmediasoup-worker', sources: common_sources)

executable(
  'mediasoup-worker',
  sources: common_sources + ['src/main.cpp'],
)
"""
LIBWEBRTC_MESON = """libwebrtc_sources = [
  'libwebrtc/api/units.cc',
]

libwebrtc = library(
  'libwebrtc',
  libwebrtc_sources,
  dependencies: [],
)
"""


@pytest.fixture
def small_worker(tmp_path: Path) -> Path:
    """The ``worker`` folder of a package with three sources. None of them compiles to anything."""
    folder = tmp_path / "small" / "worker"
    for name, text in (
        ("meson.build", WORKER_MESON),
        ("src/RTC/Router.cpp", '#define MS_CLASS "RTC::Router"\n'),
        ("src/main.cpp", "int main() { return 41; }\n"),
        ("deps/libwebrtc/meson.build", LIBWEBRTC_MESON),
        ("deps/libwebrtc/libwebrtc/api/units.cc", ""),
        ("subprojects/libuv.wrap", ""),
        *((edit.file, "".join(one.before for one in EDITS)) for edit in EDITS),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
