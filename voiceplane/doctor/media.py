"""The worker and its ports."""

from __future__ import annotations

import asyncio

from app.settings import Settings
from voiceplane.doctor import sockets
from voiceplane.doctor.dtls import begins_handshake
from voiceplane.doctor.finding import Finding, fail, ok
from voiceplane.doctor.network import node_answers
from worker_bridge import native
from worker_bridge.errors import BridgeError

CHECK = "worker"


async def worker(settings: Settings) -> Finding:
    """Is there a worker of the right release, and does it do ICE and DTLS? It is started once, on a loopback port."""
    try:
        found = native.locate(str(settings.worker_bin) if settings.worker_bin is not None else None)
        report = await asyncio.to_thread(native.check, found)
        greets = await begins_handshake(found)
    except BridgeError as error:
        problem, _, mend = str(error).rpartition(": ")
        return fail(CHECK, problem or mend, mend if problem else "run `voiceplane worker build --force`")
    if not greets:
        return fail(CHECK, f"{found.binary} begins no DTLS handshake", native.remedy(found))
    what = f"mediasoup {report.version} ({report.origin}), up in {report.milliseconds:.0f} ms, does DTLS"
    return ok(CHECK, f"{found.binary}: {what}")


async def ports(settings: Settings) -> Finding:
    """Are the workers' ports free on each address, or held by the node that runs here?"""
    check, kinds, first = "media ports", sockets.KINDS if settings.rtc_tcp else sockets.KINDS[:1], settings.rtc_port
    places = [one.ip for one in settings.media_addresses]
    last = first + settings.workers - 1
    span = f"{'UDP and TCP' if settings.rtc_tcp else 'UDP'} {first}" + (f" to {last}" if last > first else "")
    refused = [
        (address, kind, port, error)
        for port in range(first, last + 1)
        for address in places
        for kind in kinds
        if (error := sockets.bind_error(kind, address, port)) is not None
    ]
    if not refused:
        return ok(check, f"{span} are free on {', '.join(places)}")
    for address, kind, port, error in refused:
        if not sockets.is_busy(error):
            found = f"{address} {kind} {port} can't be had ({sockets.reason(error)})"
            return fail(check, found, "correct VOICEPLANE_RTC_LISTEN_IP and _PORT")
    held = [(kind, port) for _, kind, port, _ in refused]
    strangers = [
        f"{kind} {port} is held by {who}"
        for kind, port in held
        if not (who := sockets.holder(kind, port)).startswith((sockets.WORKER, sockets.UNKNOWN))
    ]
    if not strangers and await node_answers(settings):
        return ok(check, f"{span}: held by the node that runs here")
    kind, port = held[0]
    who = strangers[0] if strangers else f"{kind} {port} is held by {sockets.holder(kind, port)}"
    return fail(check, f"{who}, and not by a node that answers", "end it, or set VOICEPLANE_RTC_PORT")
