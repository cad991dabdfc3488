"""mediasoup for Python: drives the official native worker over its pipes.

A library of its own: it knows nothing of HTTP, of schemas for clients, or of calls. Start with ``Worker.running``, or
``Pool.running`` for one worker per core; ``docs/bridge.md`` is the tour. Every public name can be had from here.

    from worker_bridge import RtpCodecCapability, Worker

    async with Worker.running() as worker:
        router = await worker.create_router([RtpCodecCapability("audio", "audio/opus", 48000, channels=2)])
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_bridge.api import *  # noqa: F403
else:
    LOWER = {"__all__", "observer", "parameters", "parse_scalability_mode", "supported_rtp_capabilities", "version"}

    def __getattr__(name: str) -> object:
        """Public names when they are asked for: getting and building the native parts must not need them."""
        if name not in LOWER and not name[:1].isupper():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from worker_bridge import api

        globals().update({one: getattr(api, one) for one in ["__all__", *api.__all__]})  # none is asked for here again
        return getattr(api, name)
