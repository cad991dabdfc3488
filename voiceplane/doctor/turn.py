"""The TURN server: does it give us a relay for the credentials that we hand out?"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

from app.access.turn import ice_servers
from app.person import Person
from app.settings import Settings
from voiceplane.doctor.finding import Finding, fail, ok, warn
from voiceplane.doctor.sockets import reason

CHECK = "turn"
ANSWER_WITHIN_S = 5.0
URL = re.compile(  # RFC 7065 §3.1
    r"(?P<scheme>turns?):(?P<host>\[[0-9a-fA-F:]+\]|[^:?]+)(?::(?P<port>\d+))?(?:\?transport=(?P<transport>udp|tcp))?"
)
PORTS = {"turn": 3478, "turns": 5349}


class TurnError(Exception):
    """No relay, with the reason."""


async def turn(settings: Settings) -> Finding:
    if not settings.turn_urls:
        mend = "where clients sit behind strict firewalls, set VOICEPLANE_TURN_URLS and VOICEPLANE_TURN_SECRET"
        return ok(CHECK, f"none is set; {mend}")
    problems = []
    for url in settings.turn_urls:
        try:
            await allocate(url, settings)
        except ImportError:
            return warn(CHECK, "was not asked, for want of aioice", "pip install 'voiceplane[call]'")
        except TurnError as error:
            problems.append(f"{url}: {error}")
    if problems:
        mend = "compare VOICEPLANE_TURN_SECRET with the server's static-auth-secret, and its clock and ports with ours"
        return fail(CHECK, "; ".join(problems), mend)
    return ok(CHECK, f"{', '.join(settings.turn_urls)}: gave a relay")


async def allocate(url: str, settings: Settings) -> None:
    """Ask for a relay as a client would, and give it back. Raises TurnError."""
    from aioice.stun import TransactionError
    from aioice.turn import create_turn_endpoint

    match = URL.fullmatch(url)
    if match is None:
        raise TurnError("is no URL of RFC 7065")
    transport = match["transport"] or ("tcp" if match["scheme"] == "turns" else "udp")
    if (match["scheme"], transport) == ("turns", "udp"):
        raise TurnError("TURN over DTLS is spoken by few clients, and not by this check")
    servers = ice_servers(settings)(Person("admin", "doctor"))
    assert servers is not None  # noqa: S101  where there are URLs, there is a secret
    address = match["host"].strip("[]"), int(match["port"] or PORTS[match["scheme"]])
    options: dict[str, Any] = {"transport": transport}
    if match["scheme"] == "turns":
        options["ssl"] = ssl.create_default_context()
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            relay, owner = await create_turn_endpoint(
                Owner, address, servers[0].username, servers[0].credential, **options
            )
            relay.close()
            await owner.closed
    except TimeoutError:
        raise TurnError("no answer") from None
    except TransactionError as error:
        raise TurnError(f"refused ({error})") from error
    except OSError as error:
        raise TurnError(reason(error)) from error


class Owner(asyncio.DatagramProtocol):
    """Waits until the relay is given back."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
