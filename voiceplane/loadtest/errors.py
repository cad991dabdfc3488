"""What a load test can fail with, each with one sentence for people.

LoadTestError
├── NotLocal       the server, or its media, is not on this machine's loopback
├── GeneratorGone  the process that makes the media ended
└── LegFailed      one transport did not come up, or was refused by what it met
"""

from __future__ import annotations


class LoadTestError(Exception):
    """Root of everything that this package raises on purpose."""


class NotLocal(LoadTestError):
    """A load test is for one's own machine."""


class GeneratorGone(LoadTestError):
    """No media can be made any more."""


class LegFailed(LoadTestError):
    """ICE, DTLS or SRTP of one transport."""
