"""Everything that the bridge raises.

BridgeError
├── WorkerGone            the worker is closed, dead or hung: the request was not, or will never be, answered
├── ResourceClosed        the object, or what owns it, was closed before or during the call
├── RequestRefused        the worker said no
│   ├── NotFound          ... because it knows no such object
│   ├── InvalidRequest    ... because of a value
│   ├── ListenRefused     ... because a port or an address can't be had
│   └── NotAnswered       ... or rather nothing at all, though it answered later requests
├── Misuse                we asked for something that must not reach the worker
│   ├── InvalidParameters arguments of another type or value than the rules allow
│   │   └── InvalidMessage ... or than the worker's schema has room for
│   └── Unsupported       well-formed, but no codec or feature of ours matches
└── NativeError           the worker's binary, its schemas or the codec can't be had, or don't belong together
    ├── VersionMismatch
    └── WrongSettings     the worker refuses what it is started with; an InvalidParameters, too

mediasoup for Node's kinds: its TypeError is a Misuse or an InvalidRequest, its UnsupportedError an Unsupported, its
NotFoundError a NotFound or a ResourceClosed, its WorkerClosedError a WorkerGone, and its Error a RequestRefused.
"""

from __future__ import annotations

import re


class BridgeError(Exception):
    """Base of everything that ``worker_bridge`` raises."""


class WorkerGone(BridgeError):
    """The worker is closed, dead or hung. What it owned is closed with it."""


class ResourceClosed(BridgeError):
    """The object that was asked, or the one that was being made, is closed."""


class RequestRefused(BridgeError):
    """The worker answered a request with an error; ``method`` and ``reason`` are the worker's own words."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(f"{method}: {reason}")
        self.method = method
        self.reason = reason


class NotFound(RequestRefused):
    """The worker, or the bridge before it, knows no object with that id."""


class InvalidRequest(RequestRefused):
    """The worker refused a value, or a request at that time, as a mistake of who asked."""


class ListenRefused(RequestRefused):
    """The worker can't listen where it should; the text says where, ``reason`` has the worker's own words."""

    def __init__(self, refused: RequestRefused, port: int) -> None:
        super().__init__(refused.method, refused.reason)
        call, _, cause = refused.reason.rpartition("]: ")  # the call that failed with its arguments, and why
        ip = re.search(r"ip:'([^']*)'", call)
        where = f"{ip[1]} port {port}" if ip else f"port {port}"
        self.args = (f"media can't listen on {where}: {cause}",)


class NotAnswered(RequestRefused):
    """The worker passed over a request: it answers in order, and has answered later ones."""

    def __init__(self, method: str) -> None:
        super().__init__(method, "the worker answered later requests, but not this one")


class Misuse(BridgeError):
    """A request that the worker never saw."""


class InvalidParameters(Misuse):
    """Values that the ORTC rules, a type or an option's range refuse; the text starts with the argument, or the path
    of the field in it."""


class InvalidMessage(InvalidParameters):
    """A message does not fit the schema; the text starts with the path of the field."""


class Unsupported(Misuse):
    """Well-formed, but nothing on our side matches: a codec, an RTX codec, a header extension."""


class NativeError(BridgeError):
    """The native worker, its schemas or the codec can't be had; the text says what to install or set."""


class VersionMismatch(NativeError):
    """The binary and the schemas are of different releases, so that message numbers would not agree."""


class WrongSettings(InvalidParameters, NativeError):
    """The worker refused its command line, and ended at once."""
