"""The folder of clips: what is there, what is not played and why, and that changes are noticed."""

from __future__ import annotations

import logging
import os

import pytest

from app.announcing.clip import MOST_BYTES
from app.announcing.clips import OWN, Clips
from app.errors import ClipNotFound, answer_to
from tests.app.announcing.test_clip import SOUND, opus_file

GOOD = opus_file(SOUND, SOUND)


async def problems(clips: Clips) -> dict[str, str | None]:
    return {one.path.name: one.problem for one in await clips.list() if not one.own}


async def test_three_come_with_the_node():
    clips = Clips(None)
    listed = await clips.list()
    assert [(one.name, one.own, one.problem) for one in listed] == [
        ("hold", True, None),
        ("join", True, None),
        ("warning", True, None),
    ]
    assert (await Clips(None).get("warning")).duration_ms == next(
        one.duration_ms for one in listed if one.name == "warning"
    )


async def test_a_file_of_the_folder_comes_before_ours(tmp_path):
    (tmp_path / "warning.ogg").write_bytes(GOOD)
    clips = Clips(tmp_path)
    assert (await clips.get("warning")).packets == (SOUND, SOUND)
    assert [one.own for one in await clips.list() if one.name == "warning"] == [False]


async def test_what_can_t_be_played_is_listed_and_logged_once_with_the_reason(tmp_path, caplog):
    (tmp_path / "good.opus").write_bytes(GOOD)
    (tmp_path / "good.ogg").write_bytes(GOOD)
    (tmp_path / "picture.opus").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "short.opus").write_bytes(GOOD[:-1])
    (tmp_path / "two words.opus").write_bytes(GOOD)
    (tmp_path / "gone.opus").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.opus").mkdir()
    (tmp_path / "readme.txt").write_text("no clip")
    os.mkfifo(tmp_path / "pipe.opus")
    with (tmp_path / "huge.opus").open("wb") as file:
        file.truncate(1_000_000_000)
    clips = Clips(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = await problems(clips)
        assert await problems(clips) == found
    assert found == {
        "good.ogg": None,
        "good.opus": "has the name of good.ogg",
        "picture.opus": "is no Ogg file: there is no page at byte 0",
        "short.opus": "ends in the middle of a page",
        "two words.opus": "has a name with other characters than A-Z a-z 0-9 _ -, or a longer one than 64",
        "folder.opus": "is no plain file",
        "pipe.opus": "is no plain file",
        "huge.opus": f"has 1000000000 bytes, of {MOST_BYTES} at most",
    }
    assert sum("picture.opus" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("name", ["nothing", "../clips/good", "good.opus", "", "a/b", "\0"])
async def test_a_name_is_a_file_of_the_folder_or_nothing(tmp_path, name):
    (tmp_path / "clips").mkdir()
    (tmp_path / "good.opus").write_bytes(GOOD)
    with pytest.raises(ClipNotFound):
        await Clips(tmp_path / "clips").get(name)


async def test_who_asks_for_a_bad_one_is_told_why(tmp_path):
    (tmp_path / "hold.opus").write_bytes(GOOD[:-1])
    with pytest.raises(ClipNotFound) as refused:
        await Clips(tmp_path).get("hold")
    answer = answer_to(refused.value)
    assert (answer.code, answer.status) == ("CLIP_NOT_FOUND", 404)
    assert answer.details[0].problem == "the clip hold ends in the middle of a page"


async def test_a_clip_that_changes_is_read_again(tmp_path):
    clips, file = Clips(tmp_path), tmp_path / "news.opus"
    with pytest.raises(ClipNotFound):
        await clips.get("news")
    file.write_bytes(GOOD)
    assert len((await clips.get("news")).packets) == 2
    file.write_bytes(opus_file(SOUND))
    assert len((await clips.get("news")).packets) == 1
    file.write_bytes(GOOD[:40])
    assert (await problems(clips))["news.opus"] == "ends in the middle of a page"
    file.unlink()
    assert await problems(clips) == {}


async def test_a_folder_that_is_gone_leaves_ours(tmp_path, caplog):
    clips = Clips(tmp_path / "gone")
    assert len(await clips.list()) == len(list(OWN.iterdir()))
    assert "can't be listed" in caplog.text


async def test_sound_that_was_played_stays_in_memory_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("app.announcing.clips.KEPT_BYTES", 2 * len(GOOD))
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.opus").write_bytes(GOOD)
    clips = Clips(tmp_path)
    first = await clips.get("one")
    assert await clips.get("one") is first
    await clips.get("two")
    await clips.get("three")
    again = await clips.get("one")
    assert again == first
    assert again is not first
