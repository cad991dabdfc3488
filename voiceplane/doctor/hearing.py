"""Who may hear calls besides their parties: said, because the law asks something of whoever lets them."""

from __future__ import annotations

from app.settings import Settings
from voiceplane.doctor.finding import Finding, ok

CHECK = "who hears calls"


async def hearing(settings: Settings) -> Finding:
    """All of it is off unless it was switched on."""
    on = []
    if settings.supervision:
        told = "the parties are told" if settings.supervision_told else "the parties are not told (SUPERVISION_TOLD)"
        on.append(f"admins may listen and speak, and {told}")
    if settings.recording:
        on.append(f"calls may be recorded, which their parties are told, and kept in {settings.recordings_at}")
    return ok(CHECK, "; ".join(on) or "their parties alone")
