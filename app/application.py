"""create_app: the only place that wires the parts together. Whatever is open as long as the application is opened and
closed here, in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import cast

from aiohttp import web

from app.access.ratelimit import RateLimiter
from app.access.tokens import Authenticator
from app.access.turn import ice_servers
from app.calls.attempts import Attempts
from app.calls.continuity import Continuity
from app.calls.directory import Directory
from app.calls.endings import Endings
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.calls.metering import Meter
from app.calls.missing_callers import MissingCallers
from app.calls.people import Bouncer, People
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.registry import Registry
from app.calls.service import CallService
from app.calls.timers import CallTimers
from app.clock import now
from app.cluster.duties import Duties
from app.cluster.forwarder import Forwarder
from app.cluster.ids import numbered_ids
from app.cluster.membership import Membership, session_name
from app.cluster.middleware import forwarding, name_node, peers_only
from app.cluster.mover import Mover
from app.cluster.presence import ClusterPresence
from app.cluster.remote_calls import RemoteCalls
from app.errors import UPGRADE_REQUIRED, BadRequest, Draining
from app.housekeeping import collect_when_idle, expire_points, prune
from app.http.body import MAX_BODY_BYTES
from app.http.connections import Connections
from app.http.cors import Cors
from app.http.middleware import guard
from app.keys import (
    AUTHENTICATOR,
    CALLS,
    CAPABILITIES,
    CLUSTER,
    CONNECTIONS,
    CONTINUITY,
    DEMO_LIMITER,
    DRAIN,
    ENDINGS,
    FORWARDING_PROBE,
    GAUGES,
    HEALTH,
    HTTP_OBSERVERS,
    HUB,
    ICE_SERVERS,
    INTERNAL_PORT,
    JOURNAL,
    LEDGER,
    LIFECYCLE,
    MEMBERSHIP,
    METRICS,
    PEOPLE,
    POOL,
    PREFLIGHT_LIMITER,
    PREFLIGHTS,
    PRESENCE,
    RATE_LIMITER,
    RATES,
    REGISTRY,
    SAMPLER,
    SETTINGS,
    WEBHOOKS,
    HttpObserver,
)
from app.ledger import Ledger, claimed
from app.ledger.claim import Claim
from app.ledger.nodes import Joining, new_incarnation
from app.ledger.upgrade import upgrade
from app.ledger.values import Recovery
from app.media.codecs import capabilities_of, codecs_of
from app.media.party_objects import RoomLimits
from app.media.preflights import Preflights
from app.media.rooms import Rooms
from app.openapi.declaration import answers
from app.openapi.document import Document
from app.ops.admission import Admission, Placement
from app.ops.cluster_gauges import ClusterGauges
from app.ops.descriptors import Descriptors
from app.ops.drain import Drain
from app.ops.forwarding_probe import ForwardingProbe
from app.ops.gauges import Gauges
from app.ops.health import Health
from app.ops.metrics import Metrics
from app.ops.sampler import Sampler
from app.ops.webhook_gauges import WebhookGauges
from app.rest import demo, docs, internal, preflights
from app.rest.routes import ROUTES
from app.rest.socket import SINCE, Endpoint, nothing_rings
from app.settings import Settings
from app.shared_settings import config_hash
from app.signaling.commands import build_commands
from app.signaling.dispatch import Dispatcher
from app.signaling.hub import Hub
from app.signaling.limits import PATH as SOCKET_PATH
from app.signaling.limits import SOCKET_BURST, CloseCode
from app.signaling.limits import Limits as SocketLimits
from app.signaling.stored import greeter, publisher, replayer, ringing
from app.sound import SOUND
from app.tasks import Tasks
from app.watch.sweeper import Sweeper
from app.watch.watch import Watch
from app.webhooks.webhooks import Webhooks
from schemas.base import encode
from schemas.consumer import Capabilities
from worker_bridge import native
from worker_bridge.pool import ListenAddress, Pool, PoolSettings
from worker_bridge.worker_settings import WorkerSettings

HAND_OVER_WITHIN_S = 2.0  # at shutdown; what is not stored then was stored two seconds ago
END_CALLS_WITHIN_S = 6.0  # at shutdown; a supervisor kills not much later

DIRECTORY = web.AppKey("directory", Directory)
ENDPOINT = web.AppKey("endpoint", Endpoint)
RECOVERED = web.AppKey("recovered", Recovery)

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> web.Application:
    """The whole control plane. Its workers start with it and end with it."""
    around = [peers_only, guard, forwarding] if settings.cluster else [guard]
    cors = Cors(settings.cors_origins) if settings.cors_origins else None
    if cors is not None:
        around.insert(around.index(guard), cors.answer_preflights)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=around)
    if cors is not None:
        app.on_response_prepare.append(cors.allow)
    if settings.cluster:
        app.on_response_prepare.append(name_node)
    app[SETTINGS] = settings
    app[RATE_LIMITER] = RateLimiter(settings.rate_limit)
    app[DEMO_LIMITER] = RateLimiter(demo.SESSIONS_PER_SECOND)
    app[PREFLIGHT_LIMITER] = preflights.limiter(limited=settings.rate_limit > 0)
    app[ICE_SERVERS] = ice_servers(settings)
    app[REGISTRY] = Registry()
    app[HUB] = Hub()
    app[METRICS] = Metrics.made(settings.node_name if settings.cluster else None)
    observers: list[HttpObserver] = [app[METRICS].request_answered]
    app[HTTP_OBSERVERS] = observers
    app[CONNECTIONS] = Connections(
        settings.max_connections, settings.max_connections_per_address, settings.client_timeout_s, observers
    )
    capabilities = Capabilities(capabilities_of(settings.media_kinds))
    app[CAPABILITIES] = encode(capabilities)
    app.add_routes([*ROUTES, web.get(SOCKET_PATH, serve_socket, allow_head=False)])
    app[docs.DOCUMENT] = Document(app.router)  # before what only nodes ask of one another
    if settings.cluster:
        app.add_routes(internal.routes)
    app.cleanup_ctx.extend([authenticator, ledger, workers, live_calls, *SOUND, adoption, cluster])
    app.on_shutdown.append(stop_calls)
    return app


async def authenticator(app: web.Application) -> AsyncIterator[None]:
    async with Authenticator.open(app[SETTINGS]) as app[AUTHENTICATOR]:
        yield


async def ledger(app: web.Application) -> AsyncIterator[None]:
    """The ledger, with what another process left: the calls that go on here, and the ends of the others."""
    settings = app[SETTINGS]
    session = session_name()
    async with AsyncExitStack() as stack:
        claim = await stack.enter_async_context(on_database(app, session))
        node = app[MEMBERSHIP].node if settings.cluster else new_incarnation(settings.node_name)
        opening = Ledger.open(
            settings.database_url,
            node=node,
            guard=claim,
            session=session,
            wallet_low_points=settings.wallet_low_points,
        )
        app[LEDGER] = await stack.enter_async_context(opening)
        app[METRICS].watch_ledger(app[LEDGER])
        await app[LEDGER].forget_nodes(alone=not settings.cluster)
        app[RECOVERED] = await take_over(app)
        directory = app[DIRECTORY] = Directory(app[AUTHENTICATOR].standing)
        seq = await app[LEDGER].latest_seq()  # before what is so is read: what is stored meanwhile is heard again
        known = await app[LEDGER].people.known()
        directory.load(known if settings.cluster else known._replace(told=()))  # else nobody is there yet
        running = Webhooks.running(app[LEDGER].webhooks, settings, f"voiceplane/{version('voiceplane')}")
        app[WEBHOOKS] = await stack.enter_async_context(running)
        app[METRICS].watch_webhooks(app[WEBHOOKS].deliverer)
        app[METRICS].registry.register(WebhookGauges(app[WEBHOOKS].standing))
        publish = publisher(app[HUB], directory.observe, app[WEBHOOKS].deliverer.committed)
        app[JOURNAL] = Journal(app[LEDGER], publish, seq)
        app[PEOPLE] = People(directory, app[JOURNAL])
        if settings.cluster:
            peers = Forwarder.running(app[MEMBERSHIP], app[LEDGER], str(settings.cluster_secret))
            app[CLUSTER] = await stack.enter_async_context(peers)
            app[JOURNAL].on_publish(app[CLUSTER].hear)
            app[INTERNAL_PORT] = int(settings.cluster_listen.rpartition(":")[2])
        yield


@asynccontextmanager
async def on_database(app: web.Application, session: str) -> AsyncIterator[Claim]:
    """The database is this node's alone; or, in a cluster, the node is one of those who share it."""
    settings = app[SETTINGS]
    if not settings.cluster:
        async with claimed(settings.database_url) as claim:
            yield claim
        return
    await upgrade(settings.database_url)
    place = Joining(
        incarnation=new_incarnation(settings.node_name),
        name=settings.node_name,
        address=f"http://{settings.cluster_listen}",
        session=session,
        version=version("voiceplane"),
        config_hash=config_hash(settings),
    )
    async with Membership.joined(settings.database_url, place, settings.node_lease_s) as app[MEMBERSHIP]:
        yield app[MEMBERSHIP]


async def take_over(app: web.Application, at_most: int | None = None) -> Recovery:
    """Make calls that no process has any more this node's, or end them: a few, or all."""
    ledger, at, window_ms = app[LEDGER], now().utc_ms, round(1000 * app[SETTINGS].reconnect_window_s)
    if at_most is None:
        recovery = await ledger.recover(now_ms=at, window_ms=window_ms)
    else:
        recovery = await ledger.recover_some(at_most, now_ms=at, window_ms=window_ms)
    for line in recovery.ended:
        logger.warning("call %s was open when its node ended: ended with %d units", line.call_id, line.billed_units)
    return recovery


async def workers(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    worker = native.locate(str(settings.worker_bin) if settings.worker_bin else None)
    pool_settings = PoolSettings(
        workers=settings.workers,
        addresses=tuple(ListenAddress(*address) for address in settings.media_addresses),
        protocols=("udp", "tcp") if settings.rtc_tcp else ("udp",),
        first_port=settings.rtc_port,
        worker=WorkerSettings(new_id=ids_of(app)),
    )
    async with Pool.running(worker, pool_settings) as app[POOL]:
        app[METRICS].watch_workers(app[POOL])
        app[FORWARDING_PROBE] = ForwardingProbe(app[POOL])
        await app[FORWARDING_PROBE].probe_due()  # before any client is served
        yield


def ids_of(app: web.Application) -> Callable[[], str] | None:
    """What makes the ids of transports, producers and consumers: in a cluster they say which node has them."""
    membership = app.get(MEMBERSHIP)
    return None if membership is None else numbered_ids(lambda: membership.view.me.number).__next__


async def live_calls(app: web.Application) -> AsyncIterator[None]:
    """The live calls, what watches and charges them, and the WebSockets that carry their events."""
    settings, registry, journal, hub = app[SETTINGS], app[REGISTRY], app[JOURNAL], app[HUB]
    timers = CallTimers(
        settings.ring_timeout_s, settings.setup_timeout_s, settings.interrupted_after_s, settings.reconnect_window_s
    )
    limits = RoomLimits(settings.max_transports_per_direction, settings.max_producers_per_party)
    app[RATES] = Rates(app[LEDGER], settings.tariff)
    directory = app[DIRECTORY]
    presence_of = ClusterPresence if settings.cluster else Presence
    presence = app[PRESENCE] = presence_of(hub, registry, journal, is_away=directory.is_away)
    lifecycle = app[LIFECYCLE] = Lifecycle(registry, journal, timers)
    keep_out(app)
    background = Tasks()
    sweeper = Sweeper(settings.max_packets_per_second)
    meter, endings = charge(app, sweeper, timers)
    admission, placement = operate(app, sweeper, background)
    rooms = Rooms(placement.place, codecs_of(settings.media_kinds), limits, registry.rooms_by_object)
    app[PREFLIGHTS] = Preflights(rooms, admission.check, ids_of(app), settings.max_packets_per_second)
    app[DRAIN].on_change(lambda draining: app[PREFLIGHTS].end_all() if draining else None)
    continuity = lifecycle.continuity = app[CONTINUITY] = Continuity(
        registry, lifecycle, journal, rooms, timers, settings.tariff
    )
    watch = Watch(sweeper, registry, lifecycle, continuity, journal, presence.is_online, timers)
    attempts = Attempts(settings.call_attempts_per_minute, settings.call_attempts_per_pair)
    app[CALLS] = CallService(
        registry,
        lifecycle,
        rooms,
        journal,
        presence,
        timers,
        app[RATES],
        attempts,
        directory,
        admission.check,
        ring_offline=settings.ring_offline,
    )
    calls_anywhere = RemoteCalls(app[CALLS], app[CLUSTER]) if settings.cluster else app[CALLS]
    dispatcher = Dispatcher(build_commands(calls_anywhere, app[PEOPLE].set_status), app[RATE_LIMITER])
    app[ENDPOINT] = endpoint(app, dispatcher)
    missing_callers = MissingCallers(registry, lifecycle, settings.interrupted_after_s)
    hub.on_presence(presence.socket_changed)
    hub.on_presence(missing_callers.socket_changed)
    app[METRICS].watch_calls(lifecycle, continuity, journal, watch)
    app[METRICS].watch_sockets(hub, dispatcher)
    deaf = app[AUTHENTICATOR].on_new_keys(partial(recheck_sockets, app, background))
    background.keep(journal.run, "journal")
    background.keep(meter.run, "meter")
    background.keep(watch.run, "watch")
    background.keep(partial(prune, app[LEDGER], settings.never_connected_days, settings.audit_days), "prune")
    background.keep(partial(expire_points, journal), "expiry of points")
    background.keep(partial(collect_when_idle, registry), "collector")
    yield
    deaf()
    presence.close()
    missing_callers.close()
    await app[DRAIN].close()
    await app[PREFLIGHTS].close()
    await background.close()
    await endings.close()
    await continuity.close()


async def adoption(app: web.Application) -> AsyncIterator[None]:
    """Go on with the calls that another process left, once all who follow calls are there."""
    for adopted in app[RECOVERED].adopted:
        app[CONTINUITY].adopt(adopted)
    yield


def charge(app: web.Application, sweeper: Sweeper, timers: CallTimers) -> tuple[Meter, Endings]:
    """What charges the calls, and what ends them when nothing is left to charge."""
    lifecycle, journal = app[LIFECYCLE], app[JOURNAL]
    meter = lifecycle.meter = Meter(journal, lifecycle.end_for, lifecycle.lose, timers.ledger_grace_s)
    endings = lifecycle.endings = app[ENDINGS] = Endings(
        journal, lifecycle.end_for, meter.decide_due, sweeper.prove, app[SETTINGS].ending_warnings_s
    )
    meter.on_charged = endings.charged
    journal.on_publish(endings.hear)
    return meter, endings


def endpoint(app: web.Application, dispatcher: Dispatcher) -> Endpoint:
    """Where WebSockets come in."""
    settings, directory = app[SETTINGS], app[DIRECTORY]
    return Endpoint(
        app[HUB],
        dispatcher,
        replayer(app[LEDGER], directory.may_have),
        SocketLimits(),
        RateLimiter(settings.socket_rate, burst=SOCKET_BURST),
        greet=greeter(directory.list_for),
        ringing_since=ringing(app[LEDGER]) if settings.ring_offline else nothing_rings,
    )


async def cluster(app: web.Application) -> AsyncIterator[None]:
    """What the node does as one of several, where it is."""
    settings = app[SETTINGS]
    if not settings.cluster:
        yield
        return
    sampler, background, presence = app[SAMPLER], Tasks(), cast("ClusterPresence", app[PRESENCE])
    duties = Duties(
        app[MEMBERSHIP],
        app[LEDGER],
        app[JOURNAL],
        app[REGISTRY],
        app[LIFECYCLE],
        app[CONTINUITY],
        app[HUB],
        app[CLUSTER],
        presence,
        partial(take_over, app),
        lambda: sampler.stress.value,
    )
    mover = Mover(app[MEMBERSHIP], app[CLUSTER], app[REGISTRY], app[LIFECYCLE])
    drain = app[DRAIN]
    drain.move_calls = mover.move_all
    drain.on_change(partial(tell_draining, app[MEMBERSHIP], background))
    background.keep(app[JOURNAL].tail, "tail of events")
    background.keep(duties.adopt, "adoption")
    yield
    await mover.close()
    await background.close()
    await presence.shut_down()


def tell_draining(membership: Membership, background: Tasks, active: bool) -> None:
    """The other nodes know whether this one takes calls."""
    background.start(membership.drain(draining=active), "the others know of the drain")


def keep_out(app: web.Application) -> None:
    """Have this node send away who is banned, and tell of otomos who are away, as soon as it hears of it."""
    directory, hub, standing = app[DIRECTORY], app[HUB], app[AUTHENTICATOR].standing
    bouncer = Bouncer(directory, app[REGISTRY], app[LIFECYCLE])
    bouncer.close_banned = lambda person: hub.disconnect(person, CloseCode.BANNED, lambda _: True)
    bouncer.close_revoked = lambda person: hub.disconnect(
        person, CloseCode.TOKEN_WITHDRAWN, lambda claims: standing.is_revoked(person, claims.issued_at)
    )
    directory.on_person(lambda person, _: app[PRESENCE].decided(person))


def operate(app: web.Application, sweeper: Sweeper, background: Tasks) -> tuple[Admission, Placement]:
    """What measures the node; returns what decides whether a call may begin, and on which worker."""
    pool, hub, forwarding = app[POOL], app[HUB], app[FORWARDING_PROBE]
    sampler = app[SAMPLER] = Sampler(pool, app[REGISTRY], sweeper.traffic_of, lambda: hub.socket_count)
    app[HTTP_OBSERVERS].append(sampler.request_answered)
    drain = app[DRAIN] = Drain(app[REGISTRY], app[LIFECYCLE], app[JOURNAL])
    descriptors = Descriptors()
    admission = Admission(drain, sampler, pool, descriptors, app[SETTINGS].stress_limit)
    app[HEALTH] = Health(
        app[LEDGER], app[CONNECTIONS], pool, forwarding, admission, background, cluster=app[SETTINGS].cluster
    )
    app[METRICS].watch_loop(sampler.lag)
    app[GAUGES] = Gauges(
        version("voiceplane"),
        app[REGISTRY],
        app[LIFECYCLE],
        drain,
        app[CONNECTIONS],
        hub,
        pool,
        sampler,
        forwarding,
        ClusterGauges(app[SETTINGS].node_name, app.get(MEMBERSHIP), drain, app[LIFECYCLE], app[JOURNAL]),
    )
    app[METRICS].registry.register(app[GAUGES])
    background.keep(app[CONNECTIONS].run, "connections")
    background.keep(sampler.run, "sampler")
    background.keep(sampler.lag.run, "loop lag")
    background.keep(forwarding.run, "forwarding probe")
    return admission, Placement(pool, sampler, forwarding, descriptors)


async def stop_calls(app: web.Application) -> None:
    """End all calls before the sockets close, so that their parties are told; no new call begins meanwhile. Where the
    node makes room for the next process, the calls that are connected are left to that one."""
    app[DRAIN].refuse_calls()
    if app[DRAIN].leaving:
        await app[CONTINUITY].hand_over(HAND_OVER_WITHIN_S)
        if app[SETTINGS].cluster and app[MEMBERSHIP].view.others:  # who take over what is not connected, too
            for call in app[REGISTRY]:
                app[LIFECYCLE].lose(call, given=True)
    await app[LIFECYCLE].close(END_CALLS_WITHIN_S)
    await app[ENDPOINT].shut_down()


def recheck_sockets(app: web.Application, background: Tasks) -> None:
    """The keys that sign tokens have changed: close the sockets whose tokens they do not verify."""
    background.start(app[ENDPOINT].recheck_tokens(app[AUTHENTICATOR].still_accepts), "sockets after a change of keys")


@answers({101: None}, BadRequest, UPGRADE_REQUIRED, Draining, query=(SINCE,))
async def serve_socket(request: web.Request) -> web.StreamResponse:
    """Commands from clients, and events about their calls, on a WebSocket.

    A browser gives its token as the second of two subprotocols, `bearer` and the JWT. Every user may have several
    sockets; each gets every event. Its messages are described in AsyncAPI 3.0: [asyncapi.json](asyncapi.json).
    """
    return await request.app[ENDPOINT].handle(request)
