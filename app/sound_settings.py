"""Which settings about announcements can't work. Knows no other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings


def fault(settings: Settings) -> str | None:
    """What is wrong with them, as a sentence that begins with a setting's name; None where nothing is."""
    if settings.clips_dir is not None and not settings.clips_dir.is_dir():
        return f"CLIPS_DIR must be a folder, and {settings.clips_dir} is none."
    return None
