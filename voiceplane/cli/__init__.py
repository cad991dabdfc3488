"""The command ``voiceplane``. One file per command or group of commands; ``root.py`` puts them together."""

from __future__ import annotations

from voiceplane.cli.root import main

__all__ = ["main"]
