"""What the worker itself says of an object, in one flat dict whichever way its schema nests it."""

from __future__ import annotations

from typing import Any

from worker_bridge import rtp_wire
from worker_bridge.rtp import RtpParameters

NESTS = ("data", "base")


async def dump_of(resource: Any) -> dict[str, Any]:
    flat = dict(await resource.dump())
    while nest := next((name for name in NESTS if isinstance(flat.get(name), dict)), None):
        flat.update(flat.pop(nest))
    return {key: value.lower() if key in ("kind", "type") else value for key, value in flat.items()}


async def parameters_of(resource: Any) -> RtpParameters:
    """The RTP parameters that the worker has of a producer or consumer."""
    return rtp_wire.parameters_from_wire((await dump_of(resource))["rtp_parameters"])
