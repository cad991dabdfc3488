"""Addresses: where HTTP listens, where media does, and what clients are told."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import aiohttp

from app import addresses
from app.addresses import Address, is_loopback
from app.settings import Settings
from voiceplane.doctor import sockets
from voiceplane.doctor.finding import Finding, fail, ok, warn

ANSWER_WITHIN_S = 2.0


async def http_address(settings: Settings) -> Finding:
    """Can we listen there, or does a node do so already?"""
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
    """Can clients reach the addresses that they are told for media?"""
    check, told = "media address", dict[str, list[Address]]()
    for one in settings.media_addresses:
        if refused := sockets.bind_error("udp", one.ip, 0):
            found = f"{one.ip} can't be listened on ({sockets.reason(refused)})"
            return fail(check, found, f"correct {addresses.LISTEN}")
        try:
            told[one.reachable] = await resolve(one.reachable)
        except OSError as error:
            return fail(
                check, f"{one.reachable} has no address ({sockets.reason(error)})", f"correct {addresses.ANNOUNCED}"
            )
    return reachable(settings, told)


def reachable(settings: Settings, told: dict[str, list[Address]]) -> Finding:
    """``told`` has the IP addresses of each address or name that clients are told."""
    check, shown = "media address", f"clients are told {', '.join(spelled(*one) for one in told.items())}"
    names = [one for one in told if addresses.ip_address(one) is None]
    beyond = [one for found in told.values() for one in found if not one.is_loopback]
    inside = [str(one) for one in beyond if one.is_private]
    if not beyond and not is_loopback(settings.host):
        mend = f"set {addresses.LISTEN} to 0.0.0.0 and {addresses.ANNOUNCED} to what clients reach"
        return fail(check, f"{shown}, but HTTP listens for others: their calls would have no sound", mend)
    if names:
        mend = f"set {addresses.ANNOUNCED} to the address of {names[0]}"
        return warn(check, f"{shown}: Firefox takes no host name, and hears nothing", mend)
    if not beyond:
        return ok(check, f"{shown}: calls work on this machine alone, as HTTP does, and not in Firefox")
    if inside and (settings.rtc_listen_ip or not is_loopback(settings.host)):
        mend = f"where clients are elsewhere, set {addresses.ANNOUNCED} to the public address"
        return warn(check, f"{shown}: only clients of the same network reach {', '.join(inside)}", mend)
    return ok(check, shown)


def spelled(told: str, found: list[Address]) -> str:
    return told if told == str(found[0]) else f"{told}, which is {', '.join(map(str, found))}"


async def resolve(host: str) -> list[Address]:
    """The IP addresses of a host name; an address is its own. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))
