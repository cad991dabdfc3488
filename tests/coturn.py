"""coturn as ``deploy/turnserver.conf`` says, between a test's clients and its node."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.network import Network

CONFIG = Path(__file__).parents[1] / "deploy" / "turnserver.conf"
SECRET = "a secret between voiceplane and coturn"


@dataclass
class Coturn:
    url: str
    log: Path


@contextmanager
def running_coturn(
    folder: Path, address: str, port: int, *options: str, network: Network | None = None
) -> Iterator[Coturn]:
    """At that address, with relays that lead to it alone; in a network of a test's own, or in the machine's."""
    config = CONFIG.read_text().replace("203.0.113.7", address).replace("change-me-and-tell-voiceplane", SECRET)
    (folder / "turnserver.conf").write_text(config)
    files = [f"--{name}={folder / name}" for name in ("log-file", "pidfile", "userdb")]
    here = (f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={port}", "--no-tls", "--no-dtls")
    command = ["turnserver", "-c", folder / "turnserver.conf", *files, "--simple-log", "--cli-password=unused"]
    command += [*here, *options]
    inside = command if network is None else network.inside(*command)
    with subprocess.Popen(inside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield Coturn(f"turn:{address}:{port}", folder / "log-file")
        finally:
            process.kill()
