"""What a worker is started with, and what of it can change while it runs: how it logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from worker_bridge.checks import show
from worker_bridge.errors import InvalidParameters

LogLevel = Literal["debug", "warn", "error", "none"]

HEARTBEAT_S = 0.5  # how often an idle worker is asked for a sign of life
HANG_AFTER_S = 3.0  # an answer that takes longer is not coming: noticed within 5 s in all
LOG_LEVELS = frozenset(get_args(LogLevel))
LOG_TAGS = frozenset(
    ("info", "ice", "dtls", "rtp", "srtp", "rtcp", "rtx", "bwe", "score", "simulcast", "svc", "sctp", "message")
)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``hang_after_s`` is how long an answer may take before the worker counts as hung, and is killed.

    Without ``dtls_certificate_file`` and ``dtls_private_key_file`` (PEM, both or neither) the worker makes a
    certificate of its own. ``rtc_min_port`` and ``rtc_max_port`` are where ports come from that no ``ListenInfo``
    narrows down (mediasoup calls the two deprecated). ``libwebrtc_field_trials`` is for people who know libwebrtc.
    ``new_id`` makes the ids of objects where they should tell more than random ones, as which process made them: it
    must return UUIDs.
    """

    log_level: LogLevel = "warn"
    log_tags: tuple[str, ...] = ()
    hang_after_s: float = HANG_AFTER_S
    heartbeat_s: float = HEARTBEAT_S
    rtc_min_port: int | None = None
    rtc_max_port: int | None = None
    dtls_certificate_file: str | Path | None = None
    dtls_private_key_file: str | Path | None = None
    libwebrtc_field_trials: str | None = None
    new_id: Callable[[], str] | None = None

    def arguments(self) -> list[str]:
        """The worker's command line. What else is wrong with it, the worker says itself, by exit code 42."""
        self.require_known()
        options = {
            "logLevel": self.log_level,
            "rtcMinPort": self.rtc_min_port,
            "rtcMaxPort": self.rtc_max_port,
            "dtlsCertificateFile": self.dtls_certificate_file,
            "dtlsPrivateKeyFile": self.dtls_private_key_file,
            "libwebrtcFieldTrials": self.libwebrtc_field_trials,
        }
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return [*given, *(f"--logTag={tag}" for tag in self.log_tags)]

    def require_known(self) -> None:
        """Raises InvalidParameters for a level or tag that the worker would refuse, or ignore without a word."""
        if not isinstance(self.log_level, str) or self.log_level not in LOG_LEVELS:
            raise InvalidParameters(f"log_level: {show(self.log_level)} is none of {', '.join(sorted(LOG_LEVELS))}")
        for tag in self.log_tags:
            if not isinstance(tag, str) or tag not in LOG_TAGS:
                raise InvalidParameters(f"log_tags: {show(tag)} is none of {', '.join(sorted(LOG_TAGS))}")
