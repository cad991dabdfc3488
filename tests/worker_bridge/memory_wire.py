"""A channel whose pipe is a list: what was written can be read, and anything can be answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from worker_bridge._codec import Codec
from worker_bridge.channel import FRAME_LIMIT, PREFIX, Channel, FrameBuffer
from worker_bridge.codec import ROOT, MessageCodec

SCORE = {"scores": [{"encoding_idx": 0, "ssrc": 1, "rid": None, "score": 7}]}
USAGE = ("ru_utime", "ru_stime", "ru_maxrss")


class Wire:
    """A channel and the far end of it: what was written, and a way to answer."""

    def __init__(self, schema: bytes) -> None:
        self._codec = MessageCodec(schema)
        self._encode = Codec(schema, ROOT, FRAME_LIMIT).encode
        self.writes: list[bytes] = []
        self.alarms: list[Exception] = []
        self.unclaimed: list[str] = []
        self.channel = Channel(
            self._codec, self.writes.append, self.alarms.append, lambda event, _: self.unclaimed.append(event)
        )

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [self._codec.decode(frame)["data"] for frame in FrameBuffer().feed(b"".join(self.writes))]

    @property
    def names(self) -> list[str]:
        return [message.get("method") or message["event"] for message in self.sent]

    def response(self, request_id: int, **response: Any) -> bytes:
        return self._encode({"data_type": "Response", "data": {"id": request_id, **response}})

    def usage(self, request_id: int, utime: int) -> bytes:
        body = dict.fromkeys(USAGE, utime)
        return self.response(request_id, accepted=True, body_type="Worker_ResourceUsageResponse", body=body)

    def notification(self, handler_id: str, event: str, body_type: str | None = None, body: Any = None) -> bytes:
        content = {"handler_id": handler_id, "event": event, "body_type": body_type, "body": body}
        return self._encode({"data_type": "Notification", "data": content})

    def score(self, handler_id: str) -> bytes:
        return self.notification(handler_id, "PRODUCER_SCORE", "Producer_ScoreNotification", SCORE)

    def log(self, text: str) -> bytes:
        return self._encode({"data_type": "Log", "data": {"data": text}})

    def accept_all(self) -> None:
        self.channel.feed(b"".join(self.response(sent["id"], accepted=True) for sent in self.sent if "id" in sent))


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(PREFIX, "little") + payload


def cut(stream: bytes, places: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return (stream[start:end] for start, end in itertools.pairwise(edges))
