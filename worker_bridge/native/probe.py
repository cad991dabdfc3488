"""Do binary and schema agree on what each method's number means? Bytes out, messages in: no I/O.

The worker tells its release to nobody, and a method's number moves between releases. But a request for a handler that
it does not know is refused by name, before it looks at the body:

    Channel request handler with ID <id> not found [method:router.dump]

So one such request for every method that is addressed to a handler shows the worker's own table of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from worker_bridge.codec import MessageCodec
from worker_bridge.errors import VersionMismatch

NOBODY: Final = "voiceplane-probe"  # the id of no handler
_REFUSAL: Final = re.compile(r"not found \[method:([^\]]+)\]")


def probe_frames(codec: MessageCodec) -> list[bytes]:
    """The frames to send to a worker that has nothing else to answer. Each one's request id is its method's number."""
    return [codec.probe(number, method, NOBODY) for number, method in _addressed(codec).items()]


def verify(codec: MessageCodec, responses: Iterable[dict[str, Any]]) -> None:
    """Checks the answers to ``probe_frames``: the ``data`` of decoded ``Response`` messages, in any order.

    Raises ``VersionMismatch`` at the first answer that is not the one of our release, and for any that is missing.
    """
    expected = _addressed(codec)
    for response in responses:
        method = expected.pop(response["id"], None)
        refusal = _REFUSAL.search(response["reason"] or "")
        if method is None or refusal is None or _plain(refusal[1]) != _plain(method):
            said = refusal[1] if refusal else response["reason"]
            raise VersionMismatch(
                f"the worker is of another release than the schema: request {response['id']} is {method} to us, "
                f"and {said!r} to it"
            )
    if expected:
        raise VersionMismatch(f"the worker did not answer to {', '.join(expected.values())}")


def _addressed(codec: MessageCodec) -> dict[int, str]:
    """Number to name of the methods that a handler answers, and not the worker itself."""
    return {number: name for name, number in codec.methods.items() if not name.startswith("WORKER_")}


def _plain(name: str) -> str:
    """``router.createWebRtcTransport`` and ``ROUTER_CREATE_WEBRTCTRANSPORT`` are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
