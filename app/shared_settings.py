"""The settings that all nodes of a cluster must be told alike, and how they see whether they were."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings

CALL_TIMES = ("unit_seconds", "ring_timeout_s", "setup_timeout_s", "interrupted_after_s", "reconnect_window_s")
SHARED = (
    *CALL_TIMES,
    *("jwt_secret", "jwt_jwks", "jwt_issuer", "jwt_audience", "max_token_hours", "ring_offline"),
    *("cluster_secret", "node_lease_s"),
    *("supervision", "supervision_told"),
    *("webhook_url", "webhook_secret", "webhook_allow_private", "wallet_low_points"),
    *("low_balance_clip", "silence_warning_s", "silence_end_s"),
    *("media_kinds", "max_transports_per_direction", "max_producers_per_party"),
    *("recording", "recording_url", "recording_days"),
    *("price_per_minute", "charge", "free_seconds", "minimum_units", "max_call_seconds", "ending_warnings_s"),
)
"""What all nodes of a cluster must be told alike."""

SHARED_AT_FIRST = frozenset(
    {
        *("unit_seconds", "ring_timeout_s", "setup_timeout_s", "interrupted_after_s", "reconnect_window_s"),
        *("jwt_secret", "jwt_jwks", "jwt_issuer", "jwt_audience", "cluster_secret", "node_lease_s"),
        *("media_kinds", "max_transports_per_direction", "max_producers_per_party", "price_per_minute"),
    }
)
"""Those that every release with clusters has. Nothing is added here: what came later counts only where it is set, so
that nodes of a release that has it and of the one before it are one cluster for as long as nobody sets it."""


def config_hash(settings: Settings) -> str:
    """By which nodes see whether they were told the same, without telling one another what."""
    usual = type(settings)()
    counted = (
        name for name in sorted(SHARED) if name in SHARED_AT_FIRST or getattr(settings, name) != getattr(usual, name)
    )
    told = "\n".join(f"{name}={sorted_text(getattr(settings, name))}" for name in counted)
    return hashlib.sha256(told.encode()).hexdigest()


def sorted_text(value: object) -> str:
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)
