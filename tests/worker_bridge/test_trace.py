"""Traces of a transport of every kind, from bytes of the worker's schema."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.worker_bridge.listening import recorded
from tests.worker_bridge.memory_wire import Wire
from worker_bridge.native import NativeWorker
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.trace import PacketTrace, Trace, TraceInfo
from worker_bridge.transport import RouterContext
from worker_bridge.webrtc_transport import WebRtcTransport

BITRATES = {
    "desired_bitrate": 1,
    "effective_desired_bitrate": 2,
    "min_bitrate": 3,
    "max_bitrate": 2**40,
    "start_bitrate": 5,
    "max_padding_bitrate": 6,
    "available_bitrate": 7,
}


@pytest.mark.parametrize(
    ("body", "trace"),
    [
        (
            {"type": "BWE", "info_type": "BweTraceInfo", "info": {"bwe_type": "TRANSPORT_CC", **BITRATES}},
            ("bwe", {"bwe_type": "transport-cc", **BITRATES}),
        ),
        (
            {"type": "BWE", "info_type": "BweTraceInfo", "info": {"bwe_type": "REMB", **BITRATES}},
            ("bwe", {"bwe_type": "remb", **BITRATES}),
        ),
        ({"type": "PROBATION"}, ("probation", {})),
    ],
    ids=["transport-cc", "remb", "probation"],
)
async def test_a_transports_traces_are_told(native_worker: NativeWorker, body: dict[str, Any], trace: Any) -> None:
    wire = Wire(native_worker.schema.read_bytes())
    transport = WebRtcTransport("t", wire.channel, RouterContext("r", RtpCapabilities()))
    wire.channel.listen("t", transport._notified)
    told = recorded(transport, "trace")
    stamped = {"timestamp": 4711, "direction": "DIRECTION_OUT", **body}
    wire.channel.feed(wire.notification("t", "TRANSPORT_TRACE", "Transport_TraceNotification", stamped))
    await asyncio.sleep(0)
    kind, info = trace
    assert told == [("trace", Trace(kind, 4711, "out", info))]


def test_everything_that_the_worker_may_tell_is_declared(native_worker: NativeWorker) -> None:
    text = "".join(path.read_text() for path in (native_worker.schema.parent / "fbs").glob("*.fbs"))
    tables = re.findall(r"^table \w+TraceInfo \{(.*?)\}", text, re.MULTILINE | re.DOTALL)
    fields = {name for table in tables for name in re.findall(r"^ +(\w+):", table, re.MULTILINE)}
    assert TraceInfo.__annotations__.keys() == fields
    [packet] = re.findall(r"namespace FBS\.RtpPacket;\s+table Dump \{(.*?)\}", text, re.DOTALL)
    assert PacketTrace.__annotations__.keys() == set(re.findall(r"^ +(\w+):", packet, re.MULTILINE))
