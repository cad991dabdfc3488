"""FlatBuffers' own opinion: the verifier that flatc generates for the same schema accepts what the codec writes."""

from __future__ import annotations

import ctypes
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker_bridge.native.test_codec_garbage import corrupt
from worker_bridge._codec import Codec

SOURCE = """
#include "message_generated.h"
extern "C" int verify(const uint8_t *frame, size_t size) {
  flatbuffers::Verifier verifier(frame, size);
  return FBS::Message::VerifySizePrefixedMessageBuffer(verifier);
}
"""
CORRUPT_FRAMES = 5_000


@pytest.fixture(scope="module")
def verify(schema_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], bool]:
    folder = tmp_path_factory.mktemp("verifier")
    (folder / "verify.cpp").write_text(SOURCE)
    text = schema_path.parent / "fbs"
    subprocess.run(["flatc", "--cpp", "--gen-all", "-o", folder, "message.fbs"], cwd=text, check=True)
    subprocess.run(
        ["g++", "-std=c++17", "-O0", "-shared", "-fPIC", "-o", "verify.so", "verify.cpp"], cwd=folder, check=True
    )
    function = ctypes.CDLL(str(folder / "verify.so")).verify
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lambda frame: bool(function(frame, len(frame)))


def test_what_the_codec_writes_passes_the_generated_verifier(
    verify: Callable[[bytes], bool], frames: list[bytes]
) -> None:
    assert all(verify(frame) for frame in frames)


def test_what_the_generated_verifier_refuses_is_right_again_once_the_codec_has_read_and_written_it(
    verify: Callable[[bytes], bool], codec: Codec, frames: list[bytes]
) -> None:
    rng, repaired = random.Random(3), 0
    for _ in range(CORRUPT_FRAMES):
        try:
            message = codec.decode(corrupt(rng, rng.choice(frames)))
            frame = codec.encode(message)
        except ValueError:
            continue
        repaired += 1
        assert verify(frame)
    assert repaired > 0
