"""A load test is for a server on loopback."""

from __future__ import annotations

import pytest

from voiceplane.loadtest.errors import NotLocal
from voiceplane.loadtest.options import require_local_base


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080", "http://127.9.9.9:1"]
)
def test_loopback_is_ours(base: str) -> None:
    require_local_base(base)


@pytest.mark.parametrize(
    "base", ["http://192.0.2.1", "http://0.0.0.0:8080", "http://[2001:db8::1]", "http://no.such.invalid"]
)
def test_anything_else_is_not(base: str) -> None:
    with pytest.raises(NotLocal, match="loopback alone"):
        require_local_base(base)
