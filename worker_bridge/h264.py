"""H.264's ``profile-level-id``: what it says, and which one answers an offer (RFC 6184 §8.1, §8.2.2).

Knows nothing of codecs' other parameters than the two that decide this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from worker_bridge.rtp import ParameterValue

PROFILE_LEVEL_ID = "profile-level-id"
LEVEL_ASYMMETRY_ALLOWED = "level-asymmetry-allowed"

_SIX_HEX_DIGITS = re.compile(r"[0-9A-Fa-f]{6}")
_CONSTRAINT_SET3 = 0x10  # with level_idc 11: level 1b instead of 1.1 (H.264 §A.3.1)
_LEVEL_1B = 0
_LEVEL_1 = 10
_LEVEL_1_1 = 11
_LEVELS = frozenset(
    (10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52)
)  # level_idc is ten times the level


class Profile(Enum):
    """A profile; the value is profile_idc and profile_iop as an answer spells them."""

    CONSTRAINED_BASELINE = "42e0"
    BASELINE = "4200"
    MAIN = "4d00"
    CONSTRAINED_HIGH = "640c"
    HIGH = "6400"
    PREDICTIVE_HIGH_444 = "f400"


# RFC 6184 §8.1, table 5: profile_idc, then the bits of profile_iop that matter and what they must be.
_PATTERNS = (
    (0x42, 0b0100_1111, 0b0100_0000, Profile.CONSTRAINED_BASELINE),
    (0x4D, 0b1000_1111, 0b1000_0000, Profile.CONSTRAINED_BASELINE),
    (0x58, 0b1100_1111, 0b1100_0000, Profile.CONSTRAINED_BASELINE),
    (0x42, 0b0100_1111, 0b0000_0000, Profile.BASELINE),
    (0x58, 0b1100_1111, 0b1000_0000, Profile.BASELINE),
    (0x4D, 0b1010_1111, 0b0000_0000, Profile.MAIN),
    (0x64, 0b1111_1111, 0b0000_0000, Profile.HIGH),
    (0x64, 0b1111_1111, 0b0000_1100, Profile.CONSTRAINED_HIGH),
    (0xF4, 0b1111_1111, 0b0000_0000, Profile.PREDICTIVE_HIGH_444),
)

# Level 1b sets a constraint flag or has its own byte, and exists in these profiles only.
_SPELLED_1B = {Profile.CONSTRAINED_BASELINE: "42f00b", Profile.BASELINE: "42100b", Profile.MAIN: "4d100b"}


@dataclass(frozen=True, slots=True)
class ProfileLevelId:
    """A profile and ten times a level (31 is level 3.1); level 1b is 0."""

    profile: Profile
    level: int

    def __str__(self) -> str:
        if self.level == _LEVEL_1B:
            return _SPELLED_1B[self.profile]
        return f"{self.profile.value}{self.level:02x}"


# RFC 6184 says Baseline 1, but WebRTC endpoints that say nothing mean this.
DEFAULT = ProfileLevelId(Profile.CONSTRAINED_BASELINE, 31)


def parse_profile_level_id(text: ParameterValue) -> ProfileLevelId | None:
    """What three bytes in hexadecimal say, or None where they name no profile or level that we know."""
    if not isinstance(text, str) or _SIX_HEX_DIGITS.fullmatch(text) is None:
        return None
    idc, iop, level = bytes.fromhex(text)
    if level not in _LEVELS:
        return None
    for pattern_idc, mask, bits, profile in _PATTERNS:
        if idc == pattern_idc and iop & mask == bits:
            is_1b = level == _LEVEL_1_1 and iop & _CONSTRAINT_SET3
            return ProfileLevelId(profile, _LEVEL_1B if is_1b else level)
    return None


def profile_level_id(codec_parameters: Mapping[str, ParameterValue]) -> ProfileLevelId | None:
    """That of a codec's parameters: the default where there is none, None where there is a bad one."""
    text = codec_parameters.get(PROFILE_LEVEL_ID)
    return parse_profile_level_id(text) if text else DEFAULT


def same_profile(one: Mapping[str, ParameterValue], other: Mapping[str, ParameterValue]) -> bool:
    """Whether both codecs' parameters are valid and mean the same profile, whatever their levels."""
    ours, theirs = profile_level_id(one), profile_level_id(other)
    return ours is not None and theirs is not None and ours.profile is theirs.profile


def answer(local: Mapping[str, ParameterValue], remote: Mapping[str, ParameterValue]) -> str | None:
    """The ``profile-level-id`` that answers ``remote``: the lower level, or the local one where both allow asymmetry.

    Both must be of the ``same_profile``. None where neither names one, so that both stay with the default.
    """
    ours, theirs = profile_level_id(local), profile_level_id(remote)
    if ours is None or theirs is None or ours.profile is not theirs.profile:
        raise ValueError("an answer needs two valid profile-level-ids of the same profile")
    if not local.get(PROFILE_LEVEL_ID) and not remote.get(PROFILE_LEVEL_ID):
        return None
    asymmetric = _allows_asymmetry(local) and _allows_asymmetry(remote)
    level = ours.level if asymmetric else min(ours.level, theirs.level, key=_rank)
    return str(ProfileLevelId(ours.profile, level))


def _allows_asymmetry(codec_parameters: Mapping[str, ParameterValue]) -> bool:
    return codec_parameters.get(LEVEL_ASYMMETRY_ALLOWED) in (1, "1")


def _rank(level: int) -> float:
    """Level 1b lies between 1 and 1.1."""
    return _LEVEL_1 + 0.5 if level == _LEVEL_1B else level
