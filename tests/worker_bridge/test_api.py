"""The package's front door: every public name, and nothing heavy behind it until one is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import worker_bridge
from worker_bridge import api
from worker_bridge.capabilities import SUPPORTED


def test_every_public_name_can_be_had_from_the_package() -> None:
    assert {name for name in api.__all__ if getattr(worker_bridge, name) is not getattr(api, name)} == set()
    assert worker_bridge.supported_rtp_capabilities() is SUPPORTED
    assert worker_bridge.version == "3.27.1"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = worker_bridge.nothing


def test_the_native_parts_can_be_had_without_the_rest() -> None:
    """A wheel is built where neither pyee nor the codec is."""
    script = "import sys, worker_bridge.native; sys.exit(len({'pyee', 'worker_bridge.worker'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
