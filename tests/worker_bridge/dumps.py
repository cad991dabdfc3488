"""What the worker itself says of an object."""

from __future__ import annotations

from typing import Any

from worker_bridge.rtp import RtpParameters


async def dump_of(resource: Any) -> dict[str, Any]:
    dump: dict[str, Any] = await resource.dump()
    return dump


async def parameters_of(resource: Any) -> RtpParameters:
    """The RTP parameters that the worker has of a producer or consumer."""
    parameters = (await resource.dump())["rtp_parameters"]
    assert isinstance(parameters, RtpParameters)
    return parameters
