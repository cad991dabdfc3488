"""The typed keys under which the application keeps what handlers need, and a request what was found out about it."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from app.access.ratelimit import RateLimiter
from app.access.tokens import Authenticator, Claims
from app.access.turn import IceServersFor
from app.announcing.announcing import Announcing
from app.calls.continuity import Continuity
from app.calls.endings import Endings
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.people import People
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.service import CallService
from app.calls.taps import Taps
from app.cluster.forwarder import Forwarder
from app.cluster.membership import Membership
from app.http.connections import Connections
from app.ledger import Ledger
from app.media.preflights import Preflights
from app.ops.drain import Drain
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.gauges import Gauges
from app.ops.health import Health
from app.ops.metrics import Metrics
from app.ops.sampler import Sampler
from app.person import Person
from app.recording.recording import Recording
from app.settings import Settings
from app.signaling.hub import Hub
from app.supervision.supervisors import Supervisors
from app.webhooks.webhooks import Webhooks
from worker_bridge.pool import Pool

HttpObserver = Callable[[str, str, int, float], None]
"""Gets a request's method, its route's template (empty where none matched), the answer's status, and seconds."""

SETTINGS = web.AppKey("settings", Settings)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
RATE_LIMITER = web.AppKey("rate_limiter", RateLimiter)
DEMO_LIMITER = web.AppKey("demo_limiter", RateLimiter)
PREFLIGHT_LIMITER = web.AppKey("preflight_limiter", RateLimiter)
LEDGER = web.AppKey("ledger", Ledger)
JOURNAL = web.AppKey("journal", Journal)
REGISTRY = web.AppKey("registry", Registry)
CONTINUITY = web.AppKey("continuity", Continuity)
ENDINGS = web.AppKey("endings", Endings)
LIFECYCLE = web.AppKey("lifecycle", Lifecycle)
PEOPLE = web.AppKey("people", People)
PRESENCE = web.AppKey("presence", Presence)
RATES = web.AppKey("rates", Rates)
CALLS = web.AppKey("calls", CallService)
ANNOUNCING = web.AppKey("announcing", Announcing)
TAPS = web.AppKey("taps", Taps)
RECORDING = web.AppKey("recording", Recording)
PREFLIGHTS = web.AppKey("preflights", Preflights)
POOL = web.AppKey("pool", Pool)
HUB = web.AppKey("hub", Hub)
METRICS = web.AppKey("metrics", Metrics)
GAUGES = web.AppKey("gauges", Gauges)
SAMPLER = web.AppKey("sampler", Sampler)
DRAIN = web.AppKey("drain", Drain)
HEALTH = web.AppKey("health", Health)
FORWARDING_PROBE = web.AppKey("forwarding_probe", ForwardingProbe)
CAPABILITIES: web.AppKey[bytes] = web.AppKey("capabilities", bytes)
CONNECTIONS = web.AppKey("connections", Connections)
HTTP_OBSERVERS: web.AppKey[list[HttpObserver]] = web.AppKey("http_observers", list)
ICE_SERVERS: web.AppKey[IceServersFor] = web.AppKey("ice_servers", IceServersFor)  # type: ignore[arg-type]

SUPERVISORS = web.AppKey("supervisors", Supervisors)
WEBHOOKS = web.AppKey("webhooks", Webhooks)

MEMBERSHIP = web.AppKey("membership", Membership)
CLUSTER = web.AppKey("cluster", Forwarder)
INTERNAL_PORT = web.AppKey("internal_port", int)

CLAIMS = web.RequestKey("claims", Claims)
PEER: web.RequestKey[Person | None] = web.RequestKey("peer", Person)  # another node asks, perhaps for somebody
RAW_BODY = web.RequestKey("raw_body", bytes)


def claims(request: web.Request) -> Claims:
    """The claims of the request's token. There for every handler, except public ones."""
    return request[CLAIMS]
