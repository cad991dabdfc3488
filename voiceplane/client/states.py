"""What a call's state may become, as its party sees it. Forward only, but for an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

CallState = Literal["ringing", "connecting", "talking", "interrupted", "ended"]
Step = Literal["accepted", "connected", "interrupted", "resumed", "ended"]

TRANSITIONS: Final[Mapping[tuple[CallState, Step], CallState]] = MappingProxyType(
    {
        ("ringing", "accepted"): "connecting",
        ("ringing", "connected"): "talking",
        ("ringing", "ended"): "ended",
        ("connecting", "connected"): "talking",
        ("connecting", "interrupted"): "interrupted",
        ("connecting", "ended"): "ended",
        ("talking", "interrupted"): "interrupted",
        ("talking", "ended"): "ended",
        ("interrupted", "connected"): "talking",
        ("interrupted", "resumed"): "talking",
        ("interrupted", "ended"): "ended",
    }
)

STORED: Final[Mapping[str, CallState]] = MappingProxyType(
    {
        "requesting": "ringing",
        "ringing": "ringing",
        "matched": "connecting",
        "connecting": "connecting",
        "talking": "talking",
        "interrupted": "interrupted",
        "ending": "talking",
        "ended": "ended",
    }
)
"""The server's words, which are finer. A call that is `ending` has no end yet that could be told."""

_RANK: Final[Mapping[CallState, int]] = MappingProxyType(
    {"ringing": 0, "connecting": 1, "talking": 2, "interrupted": 2, "ended": 3}
)


def after(state: CallState, step: Step) -> CallState:
    """The state after a step; the same one where the step comes late."""
    return TRANSITIONS.get((state, step), state)


def merged(state: CallState, stored: str, asked: Literal["since", "before"]) -> CallState:
    """The state of a call that was asked about: what the server says, unless that is older than what is known.

    Between talking and interrupted there is no older: so there the answer counts where it was `asked` for `"since"` the
    last event.
    """
    told = STORED.get(stored, "talking")
    is_news = _RANK[told] >= _RANK[state] if asked == "since" else _RANK[told] > _RANK[state]
    return told if is_news else state
