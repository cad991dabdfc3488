"""Several nodes: does the database give each a session of its own, can peers reach this node, are they reached and told
the same, do the clocks agree? On a node that is alone there is nothing to find.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp

from app.cluster.hops import Hops
from app.ledger.errors import LedgerError
from app.ledger.nodes import PROTOCOL, Node
from app.ledger.sessions import Sessions, try_sessions
from app.settings import Settings
from app.shared_settings import config_hash
from voiceplane.doctor import network, sockets
from voiceplane.doctor.finding import Finding, fail, ok, warn

SESSIONS, ADDRESS, PEERS, CLOCKS = "cluster sessions", "cluster address", "cluster peers", "cluster clocks"
ANSWER_WITHIN_S = 2.0
APART_MS = 1000  # far above what NTP leaves; no charge and no lease depends on it
LIVE = "/health/live"
FOR_PEERS_ALONE = 403  # what the internal listener answers to whoever shows no mark, or one of another secret
OF_A_POOLER = "pooling mode"  # in what pgbouncer says where it pools by statements
MEND_DATABASE = "correct VOICEPLANE_DATABASE_URL, or start the database"
ALONE = "off: this node is alone"
MEND_SESSIONS = (
    "point VOICEPLANE_DATABASE_URL at PostgreSQL itself, or set pgbouncer's pool_mode to session: "
    "locks and LISTEN are a session's"
)


async def sessions(settings: Settings) -> Finding:
    """Does a pooler stand between, and may our role end a dead node's session?"""
    if not settings.cluster:
        return ok(SESSIONS, ALONE)
    try:
        found = await try_sessions(settings.database_url)
    except LedgerError as error:
        return fail(SESSIONS, str(error), MEND_SESSIONS if OF_A_POOLER in str(error) else MEND_DATABASE)
    if not found.own:
        return fail(
            SESSIONS, "what answers shares sessions among clients, as pgbouncer does by transactions", MEND_SESSIONS
        )
    if not found.ends or found.foreign:
        mend = "have all nodes use one role; or GRANT pg_signal_backend to each, and let none be a superuser"
        whose = f" of {', '.join(found.foreign)}, as which other nodes are connected" if found.ends else ""
        return fail(SESSIONS, f"the role may not end sessions{whose}, so a dead node's would hold others up", mend)
    return ok(SESSIONS, "each client has its own, and may end others of its role")


async def address(settings: Settings) -> Finding:
    """Can other nodes reach this one where they are told? They are told what it listens at."""
    if not settings.cluster:
        return ok(ADDRESS, ALONE)
    host, _, port = settings.cluster_listen.rpartition(":")
    mend = "set VOICEPLANE_CLUSTER_LISTEN to an address of this machine that the other nodes reach, and nobody else"
    try:
        at = (await network.resolve(host.strip("[]")))[0]
    except OSError as unknown:
        return fail(ADDRESS, f"{host} is no address here ({sockets.reason(unknown)})", mend)
    if at.is_unspecified:
        return fail(ADDRESS, f"others are told {settings.cluster_listen}, which leads nobody here", mend)
    error = sockets.bind_error("tcp", str(at), int(port))
    if error is not None and not sockets.is_busy(error):
        return fail(ADDRESS, f"{settings.cluster_listen} can't be had ({sockets.reason(error)})", mend)
    if error is not None and not await is_for_peers_alone(settings.cluster_listen):
        who = sockets.holder("tcp", int(port))
        return fail(ADDRESS, f"{settings.cluster_listen} is held by {who}, which is no node", f"end it, or {mend}")
    if at.is_loopback:
        return warn(ADDRESS, f"{settings.cluster_listen} is reached by nodes on this machine alone", mend)
    if at.is_global:
        return warn(ADDRESS, f"{settings.cluster_listen} is public, and what nodes say there is not encrypted", mend)
    return ok(ADDRESS, f"{settings.cluster_listen} is this machine's")


async def is_for_peers_alone(listen: str) -> bool:
    """Whether a node listens there, as this one does where it runs."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"http://{listen}{LIVE}") as answer:
            return answer.status == FOR_PEERS_ALONE
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def peers(settings: Settings) -> Finding:
    """Are the other nodes reached by their internal addresses, and do they take us for one of them?"""
    if not settings.cluster:
        return ok(PEERS, ALONE)
    try:
        found = await try_sessions(settings.database_url)
    except LedgerError as error:
        return fail(PEERS, str(error), MEND_DATABASE)
    others = [one for one in found.nodes if one.address != f"http://{settings.cluster_listen}"]
    if not others:
        return ok(PEERS, "no other node is there yet")
    problems = [
        problem for problem in await asyncio.gather(*(asked(settings, found, one) for one in others)) if problem
    ]
    if problems:
        return fail(PEERS, "; ".join(one.found for one in problems), problems[0].mend)
    return ok(PEERS, f"{', '.join(one.name for one in others)}: reached, and told the same as this node")


async def clocks(settings: Settings) -> Finding:
    """Does this machine's clock agree with the database's, by which the nodes go?"""
    if not settings.cluster:
        return ok(CLOCKS, ALONE)
    try:
        found = await try_sessions(settings.database_url)
    except LedgerError as error:
        return fail(CLOCKS, str(error), MEND_DATABASE)
    apart_ms = found.our_clock_ms - found.clock_ms
    if abs(apart_ms) > APART_MS:
        mend = "let NTP set both: tokens expire by this clock. No lease and no charge goes by it"
        return warn(CLOCKS, f"this machine's is {apart_ms / 1000:+.1f} s from the database's", mend)
    return ok(CLOCKS, f"this machine's is {abs(apart_ms)} ms from the database's")


@dataclass(frozen=True, slots=True)
class Problem:
    found: str
    mend: str


async def asked(settings: Settings, seen: Sessions, node: Node) -> Problem | None:
    """What is wrong between us and another node."""
    if abs(node.protocol - PROTOCOL) > 1:
        return Problem(
            f"{node.name} speaks protocol {node.protocol}, and this release {PROTOCOL}", "upgrade step by step"
        )
    began = time.monotonic()
    hops = Hops(str(settings.cluster_secret), lambda: seen.clock_ms + round(1000 * (time.monotonic() - began)))
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(node.address + LIVE, headers=hops.mark("GET", LIVE)) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        mend = "let nodes reach one another at CLUSTER_LISTEN, and nobody else"
        return Problem(f"{node.name} is not reached at {node.address} ({str(error) or 'no answer'})", mend)
    if status == FOR_PEERS_ALONE:
        return Problem(
            f"{node.name} takes this node for a stranger", "set the same VOICEPLANE_CLUSTER_SECRET on all nodes"
        )
    if node.config_hash != config_hash(settings):
        mend = "set the secrets, prices, times and limits of calls alike on all nodes"
        return Problem(f"{node.name} was told other settings", mend)
    return None
