"""How the native worker is had: located, fetched, built and checked. Owns the per-user cache of binaries and schemas.

Knows nothing of routers and calls, and starts a worker only to see that it is one.
"""

from __future__ import annotations

from worker_bridge.native.builder import build
from worker_bridge.native.cache import NativeWorker, locate, remedy
from worker_bridge.native.checker import CheckReport, check
from worker_bridge.native.probe import probe_frames, verify

__all__ = ["CheckReport", "NativeWorker", "build", "check", "locate", "probe_frames", "remedy", "verify"]
