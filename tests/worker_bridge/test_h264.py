"""RFC 6184's profile-level-id: how it is read, written, and answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_bridge import h264
from worker_bridge.h264 import Profile, ProfileLevelId


@pytest.mark.parametrize(
    ("text", "profile", "level"),
    [
        ("42e01f", Profile.CONSTRAINED_BASELINE, 31),
        ("42E01F", Profile.CONSTRAINED_BASELINE, 31),
        ("42f00b", Profile.CONSTRAINED_BASELINE, 0),
        ("42e00b", Profile.CONSTRAINED_BASELINE, 11),
        ("4d8028", Profile.CONSTRAINED_BASELINE, 40),
        ("58c01e", Profile.CONSTRAINED_BASELINE, 30),
        ("42001f", Profile.BASELINE, 31),
        ("42100b", Profile.BASELINE, 0),
        ("58801f", Profile.BASELINE, 31),
        ("4d0032", Profile.MAIN, 50),
        ("4d100b", Profile.MAIN, 0),
        ("640c2a", Profile.CONSTRAINED_HIGH, 42),
        ("640034", Profile.HIGH, 52),
        ("f4001f", Profile.PREDICTIVE_HIGH_444, 31),
    ],
)
def test_a_profile_level_id_is_read(text: str, profile: Profile, level: int) -> None:
    assert h264.parse_profile_level_id(text) == ProfileLevelId(profile, level)


@pytest.mark.parametrize(
    "text", ["", "42e01", "42e01f0", "gggggg", "42 e1f", "000000", "42e000", "42e00f", "42e0ff", "64001f ", 420010, 1.5]
)
def test_what_names_no_profile_or_level_is_nothing(text: str | float) -> None:
    assert h264.parse_profile_level_id(text) is None


@pytest.mark.parametrize("text", ["42e11f", "58601f", "64e01f", "ffff1f", "4d401f"[:4] + "00"])
def test_unknown_combinations_of_constraints_are_nothing(text: str) -> None:
    assert h264.parse_profile_level_id(text) is None


@given(st.binary(min_size=3, max_size=3).map(bytes.hex))
def test_what_is_written_means_what_was_read(text: str) -> None:
    parsed = h264.parse_profile_level_id(text)
    if parsed is not None:
        assert h264.parse_profile_level_id(str(parsed)) == parsed


def params(profile: str | None = None, asymmetry: str | int | None = None) -> dict[str, str | int | float]:
    given_ = {"profile-level-id": profile, "level-asymmetry-allowed": asymmetry}
    return {name: value for name, value in given_.items() if value is not None}


def test_profiles_are_compared_without_levels() -> None:
    assert h264.same_profile(params("42e01f"), params("42e034"))
    assert not h264.same_profile(params("42e01f"), params("42001f"))
    assert h264.same_profile(params(), params("42e00a"))  # the default is Constrained Baseline
    assert not h264.same_profile(params("nonsense"), params("nonsense"))


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        (params(), params(), None),
        (params("42e015"), params("42e01f"), "42e015"),
        (params("42e01f"), params("42e015"), "42e015"),
        (params("42e01f", 1), params("42e015", 1), "42e01f"),
        (params("42e01f", "1"), params("42e015", "1"), "42e01f"),
        (params("42e01f", 1), params("42e015", 0), "42e015"),
        (params("42e01f", 1), params("42e015"), "42e015"),
        (params(None), params("42e034"), "42e01f"),
        (params("42f00b"), params("42e00b"), "42f00b"),  # 1b is below 1.1
        (params("42f00b"), params("42e00a"), "42e00a"),  # and above 1
        (params("42e00a"), params("42f00b"), "42e00a"),
        (params("640c1f"), params("640c28"), "640c1f"),
        (params("4d801f"), params("42e01f"), "42e01f"),  # two spellings of one profile
    ],
)
def test_the_answer_has_the_lower_level_unless_both_allow_asymmetry(
    local: dict[str, str | int | float], remote: dict[str, str | int | float], expected: str | None
) -> None:
    assert h264.answer(local, remote) == expected


@pytest.mark.parametrize(("local", "remote"), [("42e01f", "42001f"), ("bad", "42e01f"), ("42e01f", "bad")])
def test_profiles_that_differ_have_no_answer(local: str, remote: str) -> None:
    with pytest.raises(ValueError, match="same profile"):
        h264.answer(params(local), params(remote))
