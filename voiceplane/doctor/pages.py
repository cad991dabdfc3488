"""The browser pages: are their built files there, and who can use the demo?"""

from __future__ import annotations

from app.addresses import is_loopback
from app.settings import Settings
from app.web.build import BUILT, STAMP
from voiceplane.doctor.finding import Finding, ok, warn


async def pages(_settings: Settings) -> Finding:
    if (BUILT / STAMP).is_file():
        return ok("pages", f"built, in {BUILT}")
    return warn("pages", f"{BUILT} is not there: /docs and /demo have nothing to show", "run `python -m app.web.build`")


async def demo(settings: Settings) -> Finding:
    """The demo gives tokens and points to whoever asks."""
    if not settings.demo_is_on:
        return ok("demo", "off")
    if is_loopback(settings.host) and all(map(is_loopback, settings.rtc_listen_ip)):
        return ok("demo", "on, for this machine")
    return warn(
        "demo", "on, and media listens for others: strangers get tokens and points", "set VOICEPLANE_DEMO to off"
    )
