"""The browser pages: are their built files there?"""

from __future__ import annotations

from app.doctor.finding import Finding, ok, warn
from app.settings import Settings
from app.web.build import BUILT, STAMP


async def pages(_settings: Settings) -> Finding:
    if (BUILT / STAMP).is_file():
        return ok("pages", f"built, in {BUILT}")
    return warn("pages", f"{BUILT} is not there: /docs and /demo have nothing to show", "run `python -m app.web.build`")
