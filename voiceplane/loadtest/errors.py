"""What a load test can fail with, each with one sentence for people.

LoadTestError
├── NotLocal       the server, or its media, is not on this machine's loopback
├── GeneratorGone  the process that makes the media ended
└── LegFailed      one transport did not come up, or the server refused it
"""

from __future__ import annotations


class LoadTestError(Exception):
    """Root of everything that this package raises on purpose."""


class NotLocal(LoadTestError):
    """The server or its media is not on this machine's loopback."""


class GeneratorGone(LoadTestError):
    """The generator process has ended, or does not answer."""


class LegFailed(LoadTestError):
    """ICE, DTLS or SRTP of one transport failed."""
