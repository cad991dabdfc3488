"""The reference that ``make docs`` makes of the docstrings: whole, and without a complaint."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest

import worker_bridge


def public(name: str) -> Iterator[tuple[str, Any]]:
    """An exported name, and, of a class of ours, what is public in it, inherited or not."""
    value = getattr(worker_bridge, name)
    yield name, value
    if inspect.isclass(value):
        yield from (
            (f"{name}.{inner}", getattr(value, inner))
            for parent in value.__mro__
            if parent.__module__.startswith("worker_bridge")
            for inner, one in vars(parent).items()
            if not inner.startswith("_") and isinstance(one, property | classmethod | staticmethod | type(public))
        )


def documented(value: Any) -> bool:
    """By its own words, or those of what it overrides."""
    text = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
    written_by_itself = is_dataclass(value) and (text or "").startswith(f"{getattr(value, '__name__', '')}(")
    return bool(text) and not written_by_itself


@pytest.mark.parametrize("name", worker_bridge.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    if not callable(getattr(worker_bridge, name)):
        return  # a value, which the reference shows as it is
    assert not [inner for inner, value in public(name) if not documented(value)]


def test_the_reference_is_made_without_a_warning(tmp_path) -> None:
    command = [sys.executable, "-W", "error", "-m", "pdoc", "worker_bridge", "--output-directory", str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    page = (tmp_path / "worker_bridge.html").read_text(encoding="utf-8")
    assert [name for name in worker_bridge.__all__ if f'id="{name}"' not in page] == []
