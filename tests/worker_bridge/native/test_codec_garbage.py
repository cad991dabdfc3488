"""Corrupt frames and wrong dicts: refused with a ValueError, or right; never a crash."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from worker_bridge._codec import Codec

CORRUPT_FRAMES = 20_000
WRONG_DICTS = 6_000
OFFSETS = [0, 1, 4, 8, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]

JUNK: list[Any] = [
    *(None, 0, -1, 1, 255, 256, 2**31, 2**32, 2**63, 2**64, 10**400, 10**5000, True, False),
    *(1.5, float("nan"), float("inf"), 1e300, "", "AUDIO", "NONE", "\ud800", "nul\0", "x" * 300, b"", b"abc"),
    *(bytearray(3), memoryview(b"abcdef")[::2], [], [None], [1, 2], ["a"], [300], [[]], (), {}, {"a": 1}, {1: 2}),
    *({None: None}, set(), object(), int, ..., range(3)),
]
ODD_KEYS: list[Any] = ["bogus", 3, None, "\ud800", ("a",)]


def corrupt(rng: random.Random, frame: bytes) -> bytes:
    broken = bytearray(frame)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        kind, at = rng.random(), rng.randrange(4, len(broken))
        if kind < 0.3:
            broken[at] ^= 1 << rng.randrange(8)
        elif kind < 0.6:
            broken[at] = rng.choice([0, 1, 2, 4, 127, 128, 255, rng.randrange(256)])
        elif kind < 0.8 and at + 4 <= len(broken):
            struct.pack_into("<I", broken, at & ~3, rng.choice([*OFFSETS, len(broken), rng.randrange(len(broken))]))
        elif kind < 0.9:
            start, size = rng.randrange(4, len(broken)), rng.randrange(1, 32)
            broken[at : at + size] = broken[start : start + size]
        else:
            del broken[rng.randrange(max(5, len(broken) - 64), len(broken)) :]
        if len(broken) < 8:
            break
    if rng.random() < 0.95:
        broken[:4] = struct.pack("<I", len(broken) - 4)
    return bytes(broken)


def test_corrupt_frames_are_refused_or_decoded_but_never_crash(codec: Codec, frames: list[bytes], scale: float) -> None:
    rng, outcomes = random.Random(1), {"refused": 0, "decoded": 0}
    for _ in range(int(CORRUPT_FRAMES * scale)):
        broken = corrupt(rng, rng.choice(frames))
        try:
            codec.decode(memoryview(b"x" + broken)[1:] if rng.random() < 0.2 else broken)
            outcomes["decoded"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


def places(value: Any, found: list[tuple[Any, Any]], depth: int = 0) -> list[tuple[Any, Any]]:
    """Where something can be put: (container, key). Damage may have built cycles, hence the limits."""
    if depth > 12 or len(found) > 3000:
        return found
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            places(value[key], found, depth + 1)
    return found


def damage(rng: random.Random, message: dict[str, Any]) -> None:
    holder, key = rng.choice(places(message, []))
    kind = rng.random()
    if kind < 0.75:
        holder[key] = rng.choice(JUNK)
    elif kind < 0.85:
        del holder[key]
    elif kind < 0.93 and isinstance(holder, dict):
        holder[rng.choice(ODD_KEYS)] = 1
    else:
        other, other_key = rng.choice(places(message, []))
        holder[key] = other[other_key]  # shares it, perhaps with itself


def test_wrong_dicts_are_refused_or_encoded_rightly_but_never_crash(
    codec: Codec, frames: list[bytes], scale: float
) -> None:
    rng, outcomes = random.Random(2), {"refused": 0, "encoded": 0}
    for _ in range(int(WRONG_DICTS * scale)):
        message = codec.decode(rng.choice(frames))
        for _ in range(rng.choice([1, 1, 2, 3])):
            if places(message, []):
                damage(rng, message)
        try:
            frame = codec.encode(message)
        except ValueError:
            outcomes["refused"] += 1
            continue
        outcomes["encoded"] += 1
        assert codec.encode(codec.decode(frame)) == frame
    assert min(outcomes.values()) > 0


class Hostile:
    """Runs something when a dict compares or hashes it, once."""

    def __init__(self) -> None:
        self.action: Callable[[], object] | None = None
        self.runs = 0

    def fire(self) -> None:
        action, self.action = self.action, None
        if action:
            self.runs += 1
            action()


def hostile_keys(hostile: Hostile, name: str) -> list[Any]:
    """Two keys that look like ``name`` to a dict: a stranger with its hash, and a str that is not equal to it."""

    class Stranger:
        def __hash__(self) -> int:
            return hash(name)

        def __eq__(self, other: object) -> bool:
            hostile.fire()
            return False

    class Text(str):
        __slots__ = ()

        def __hash__(self) -> int:
            hostile.fire()
            return str.__hash__(self)

        def __eq__(self, other: object) -> bool:
            hostile.fire()
            return False

        def __repr__(self) -> str:
            hostile.fire()
            return "Text"

    return [Stranger(), Text(name)]


def request(router_id: str) -> dict[str, Any]:
    body = {"router_id": router_id}
    head = {"id": 1 << 31, "method": "WORKER_CREATE_ROUTER", "handler_id": "y" * 50}
    return {"data_type": "Request", "data": {**head, "body_type": "Worker_CreateRouterRequest", "body": body}}


@pytest.mark.parametrize("action", ["clear", "pop", "reenter", "replace"])
@pytest.mark.parametrize("inner", [False, True], ids=["outer", "inner"])
@pytest.mark.parametrize("name", ["id", "method", "handler_id", "body", "body_type", "data", "data_type", "zzz"])
def test_keys_that_change_the_dict_while_it_is_read_do_no_harm(
    codec: Codec, name: str, inner: bool, action: str
) -> None:
    hostile = Hostile()
    for key in hostile_keys(hostile, name):
        hostile.runs = 0
        message = request("z" * 40)
        target = message["data"] if inner else message
        looked_up = name in target
        rest = list(target.items())
        target.clear()
        target[key] = 1  # first, so that it is met before the key that it looks like
        target.update(rest)
        del rest

        def act(message: dict[str, Any] = message, target: dict[str, Any] = target) -> None:
            match action:
                case "clear":
                    message.get("data", {}).clear()
                    message.clear()
                case "pop":
                    message.pop("data", None)
                case "reenter":
                    codec.encode(request("again"))
                case "replace":
                    target.update(dict.fromkeys(list(target), 0))

        hostile.action = act
        try:
            frame = codec.encode(message)  # what it saw before the change may have been a whole message
            assert codec.encode(codec.decode(frame)) == frame
        except (ValueError, RuntimeError):
            pass
        assert hostile.runs > 0 or not looked_up


# ---------------------------------------------------------------- frames made by hand


class Frame:
    """A frame that can be walked and bent."""

    def __init__(self, octets: bytes) -> None:
        self.octets = bytearray(octets)

    def u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.octets, at)[0])

    def follow(self, at: int) -> int:
        return at + self.u32(at)

    def field(self, table: int, slot: int) -> int:
        vtable = table - int(struct.unpack_from("<i", self.octets, table)[0])
        return table + int(struct.unpack_from("<H", self.octets, vtable + slot)[0])


def stats(layers: int) -> dict[str, Any]:
    base = {"data_type": "BaseStats", "data": {"mime_type": "x"}}
    layer = {"layer": "a" * 20, "bitrate": 1}
    return {"data_type": "RecvStats", "data": {"base": base, "bitrate_by_layer": [layer] * layers}}


def response(all_stats: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "data_type": "Response",
        "data": {"body_type": "Producer_GetStatsResponse", "body": {"stats": all_stats}},
    }


def test_many_offsets_to_one_large_object_do_not_unfold(codec: Codec) -> None:
    frame = Frame(codec.encode(response([stats(3000)] + [stats(0)] * 3000)))
    body = frame.follow(frame.field(frame.follow(frame.field(frame.follow(4), 6)), 10))
    vector = frame.follow(frame.field(body, 4))
    assert frame.u32(vector) == 3001
    assert len(codec.decode(frame.octets)["data"]["body"]["stats"][0]["data"]["bitrate_by_layer"]) == 3000
    slots = [vector + 4 + 4 * n for n in range(3001)]
    large = frame.follow(slots[0])
    for slot in slots:
        assert large > slot  # offsets only point forward
        struct.pack_into("<I", frame.octets, slot, large - slot)
    with pytest.raises(ValueError, match="overlapping objects"):  # it would be nine million dicts
        codec.decode(frame.octets)


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"data_type": "BaseStats", "data": {"mime_type": "x"}}
    for _ in range(depth):
        inner = {"data_type": "SendStats", "data": {"base": inner}}
    return response([inner])


def test_depth_is_limited_both_ways(codec: Codec) -> None:
    deepest = max(depth for depth in range(64) if accepts(codec.encode, nested(depth)))
    assert codec.decode(codec.encode(nested(deepest)))
    with pytest.raises(ValueError, match="nested too deep"):
        codec.encode(nested(deepest + 1))


def accepts(call: Callable[[dict[str, Any]], object], message: dict[str, Any]) -> bool:
    try:
        call(message)
    except ValueError:
        return False
    return True


def test_one_list_repeated_many_times_stops_at_the_limit(codec: Codec) -> None:
    many = [stats(0)] * 1000
    for _ in range(3):
        many = many * 10
    with pytest.raises(ValueError, match="larger than 8388608 bytes"):
        codec.encode(response(many))


def test_a_frame_that_is_cut_anywhere_is_refused(codec: Codec, frames: list[bytes]) -> None:
    frame = max(frames[:50], key=len)
    for size in range(len(frame)):
        with pytest.raises(ValueError):
            codec.decode(frame[:size])
