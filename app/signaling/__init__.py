"""WebSocket signaling: commands in, events out. ``setup`` adds it to an application."""

from app.signaling.endpoint import setup

__all__ = ["setup"]
