"""Addresses: where HTTP listens, where media does, and what clients are told."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import aiohttp

from app.doctor import sockets
from app.doctor.finding import Finding, fail, ok, warn
from app.settings import Settings, is_loopback

ANSWER_WITHIN_S = 2.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def http_address(settings: Settings) -> Finding:
    """Can we listen there, or does a node of ours already?"""
    check, where = "http address", f"{settings.host} port {settings.port}"
    if settings.rtc_port <= settings.port < settings.rtc_port + settings.workers:
        return fail(check, f"port {settings.port} is one of media's, too", "set VOICEPLANE_PORT or VOICEPLANE_RTC_PORT")
    try:
        address = (await resolve(settings.host))[0]
    except OSError as unknown:
        return fail(check, f"{settings.host} is no address here ({sockets.reason(unknown)})", "correct VOICEPLANE_HOST")
    error = sockets.bind_error("tcp", str(address), settings.port)
    if error is None:
        return ok(check, f"{where} is free")
    if not sockets.is_busy(error):
        return fail(check, f"{where} can't be had ({sockets.reason(error)})", "correct VOICEPLANE_HOST and _PORT")
    if await node_answers(settings):
        return ok(check, f"a node answers on {where}")
    who = sockets.holder("tcp", settings.port)
    return fail(check, f"{where} is held by {who}, which is no node that answers", "end it, or set VOICEPLANE_PORT")


async def node_answers(settings: Settings) -> bool:
    """Whether a node answers on the address of HTTP."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/health/live"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)) as http,
            http.get(url) as response,
        ):
            body = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return False
    return isinstance(body, dict) and body.get("status") == "live"


async def media_address(settings: Settings) -> Finding:
    """Can clients reach the address that they are told?"""
    check, told = "media address", settings.rtc_announced_address or settings.rtc_listen_ip
    refused = sockets.bind_error("udp", settings.rtc_listen_ip, 0)
    if refused is not None:
        return fail(
            check,
            f"{settings.rtc_listen_ip} can't be listened on ({sockets.reason(refused)})",
            "correct VOICEPLANE_RTC_LISTEN_IP",
        )
    try:
        addresses = await resolve(told)
    except OSError as error:
        return fail(
            check, f"{told} has no address ({sockets.reason(error)})", "correct VOICEPLANE_RTC_ANNOUNCED_ADDRESS"
        )
    return reachable(settings, told, addresses)


def reachable(settings: Settings, told: str, addresses: list[Address]) -> Finding:
    check, shown = "media address", f"clients are told {told}"
    if told != str(addresses[0]):
        shown += f", which is {', '.join(map(str, addresses))}"
    if any(one.is_loopback for one in addresses):
        if is_loopback(settings.host):
            return ok(check, f"{shown}: calls work on this machine alone, as HTTP does")
        mend = "set VOICEPLANE_RTC_LISTEN_IP to 0.0.0.0 and VOICEPLANE_RTC_ANNOUNCED_ADDRESS to what clients reach"
        return fail(check, f"{shown}, but HTTP listens for others: their calls would have no sound", mend)
    if any(one.is_private for one in addresses):
        mend = "where clients are elsewhere, set VOICEPLANE_RTC_ANNOUNCED_ADDRESS to the public address"
        return warn(check, f"{shown}: only clients of the same network reach that", mend)
    return ok(check, shown)


async def resolve(host: str) -> list[Address]:
    """The IP addresses of a name, or of an address. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))
