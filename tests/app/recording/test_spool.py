"""Files that grow, are cut off anywhere, go on and end: judged by ffprobe, ffmpeg and opusinfo."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.media import ogg
from app.media.opus import RATE, samples_of
from app.recording.filling import CONCEALING, FRAME, SILENCE
from app.recording.spool import PRE_SKIP, Busy, Damaged, SpoolFile, seconds_of
from tests.app.recording.judges import faults_in, heard_in, length_of

COMMENTS = {"CALL": "call_1", "PARTY": "user"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leg.opus"


@pytest.fixture
def file(path: Path) -> Iterator[SpoolFile]:
    made = SpoolFile.create(path, COMMENTS)
    yield made
    made.close()


def packets_in(path: Path) -> list[bytes]:
    return list(ogg.packets(path.read_bytes()))[2:]


@pytest.mark.parametrize("seconds", [0.005, 0.02, 1.0, 59.987, 60.0])
def test_it_is_as_long_as_is_said_to_the_sample(file, path, seconds):
    for _ in range(30):
        file.append([SILENCE] * 50)
    file.finish(round(seconds * RATE))
    assert length_of(path) == pytest.approx(seconds + PRE_SKIP / RATE, abs=0.0005)
    assert heard_in(path) == pytest.approx(seconds, abs=0.001)
    assert faults_in(path) == []


def test_what_is_appended_is_what_is_there(file, path):
    packets = [bytes([0xF8]) + bytes([number]) * (number * 5) for number in range(256)]
    for begin in range(0, 256, 50):
        file.append(packets[begin : begin + 50])
    assert seconds_of(file.granule) == pytest.approx(256 * 0.02 - PRE_SKIP / RATE)
    file.finish(256 * FRAME - PRE_SKIP)
    assert packets_in(path) == packets
    assert file.size == path.stat().st_size


def test_its_pages_hold_a_second_and_more_where_packets_are_large(file, path):
    file.append([bytes([0xF8]) + bytes(99)] * 50)
    file.append([bytes([0xF8]) + bytes(1274)] * 50)
    file.finish(100 * FRAME - PRE_SKIP)
    counts = [len(page.packets) for page in ogg.pages(path.read_bytes())]
    assert counts[:3] == [1, 1, 50]
    assert sum(counts[3:]) == 50


def test_nobody_else_can_read_it(path, file):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_says_of_what_it_is(file, path):
    file.finish(RATE)
    head, comments, *_ = ogg.packets(path.read_bytes())
    assert head.startswith(b"OpusHead")
    assert b"CALL=call_1" in comments


def test_one_writes_at_a_time(file, path):
    with pytest.raises(Busy):
        SpoolFile.resume(path)
    file.close()
    SpoolFile.resume(path).close()


@pytest.mark.parametrize("cut", [1, 27, 60, 150, 151])
def test_what_was_cut_off_goes_on_behind_its_last_whole_page(file, path, cut):
    for number in range(5):
        file.append([bytes([0xF8, number])] * 50)
    file.close()
    os.truncate(path, path.stat().st_size - cut)
    again = SpoolFile.resume(path)
    whole = 4 if cut < 178 else 3
    assert again.granule == whole * 50 * FRAME
    again.append([bytes([0xF8, 9])] * 50)
    again.finish((whole + 1) * RATE - PRE_SKIP)
    again.close()
    assert [packet[1] for packet in packets_in(path)[::50]] == [0, 1, 2, 3, 9]
    assert faults_in(path) == []


def test_a_page_that_was_not_written_through_is_cut_off(file, path):
    for number in range(3):
        file.append([bytes([0xF8, number])] * 50)
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + bytes(40))
    again = SpoolFile.resume(path)
    again.finish(3 * RATE)
    again.close()
    assert heard_in(path) == pytest.approx(3.0, abs=0.001)
    assert [packet[1] for packet in packets_in(path)[:100:50]] == [0, 1]
    assert packets_in(path)[100:] == [SILENCE] * 51


@pytest.mark.parametrize("size", [0, 10, 60])
def test_a_file_without_headers_is_none(file, path, size):
    file.close()
    os.truncate(path, size)
    with pytest.raises(Damaged):
        SpoolFile.resume(path)


def test_it_ends_again_where_it_has_ended(file, path):
    file.append([SILENCE] * 100)
    file.finish(2 * RATE)
    first = path.read_bytes()
    file.close()
    again = SpoolFile.resume(path)
    again.finish(2 * RATE)
    again.close()
    assert path.read_bytes() == first


def test_what_conceals_and_what_is_silent_can_be_decoded(file, path):
    made = path.with_name("tone.opus")
    sine = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:a", "libopus"]
    subprocess.run(["ffmpeg", "-v", "error", *sine, str(made)], check=True)
    tone = list(ogg.packets(made.read_bytes()))[2:]
    file.append([*tone[:40], *[CONCEALING[tone[39][0]]] * 20, *[SILENCE] * 40, *tone[40:80]])
    file.finish(sum(map(samples_of, tone[:80])) + 60 * FRAME - PRE_SKIP)
    assert faults_in(path) == []


def test_a_full_disk_leaves_what_was_there(file, path):
    file.append([SILENCE] * 50)
    before, size = path.read_bytes(), file.size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            file.append([SILENCE] * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (path.read_bytes(), file.size) == (before, size)
    file.append([SILENCE] * 50)
    file.finish(2 * RATE)
    assert faults_in(path) == []


def test_the_judges_find_what_is_wrong(file, path, tmp_path):
    file.append([SILENCE] * 100)
    file.finish(2 * RATE)
    broken = shutil.copy(path, tmp_path / "broken.opus")
    os.truncate(broken, path.stat().st_size - 200)
    assert faults_in(Path(broken)) != []
