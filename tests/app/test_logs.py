"""Log lines: one per record, whole, and without tokens."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app import logs
from app.access.tokens import issue_token
from app.settings import Settings

TOKEN = issue_token(Settings(jwt_secret="s" * 32), "ann", "user", 60)
log = logging.getLogger("test.logs")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def fail() -> None:
    raise LookupError(f"no such thing\nfor {TOKEN}")


def logged(form: Any, *args: Any, **named: Any) -> str:
    stream = io.StringIO()
    logs.configure("info", form, stream)
    log.info(*args, **named)
    return stream.getvalue()


def test_a_json_line_has_everything() -> None:
    line = json.loads(logged("json", "room %s of %d", "r1", 2, extra={"request_id": "abc"}))
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info", "logger": "test.logs", "message": "room r1 of 2", "request_id": "abc",
    }  # fmt: skip


def test_a_text_line_has_everything() -> None:
    line = logged("text", "room %s", "r1", extra={"request_id": "abc"})
    assert line.endswith("Z INFO    test.logs: room r1 request_id='abc'\n")


def test_a_json_traceback_stays_on_its_line() -> None:
    try:
        fail()
    except LookupError:
        text = logged("json", "failed", exc_info=True)
    assert text.count("\n") == 1
    assert "LookupError: no such thing" in json.loads(text)["exception"]
    assert "fail()" in json.loads(text)["exception"]


def test_a_text_traceback_is_indented_below_its_line() -> None:
    try:
        fail()
    except LookupError:
        first, *rest = logged("text", "failed", exc_info=True).splitlines()
    assert first.endswith("failed")
    assert all(line.startswith("    ") for line in rest)
    assert any("LookupError" in line for line in rest)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_clients_text_cannot_forge_a_line(form: str) -> None:
    assert logged(form, "path %s", "/x\r\n2026-01-01 INFO all is well").count("\n") == 1


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_token_is_cut_out_wherever_it_is(form: str) -> None:
    try:
        fail()
    except LookupError:
        text = logged(form, "Bearer %s", TOKEN, exc_info=True, extra={"header": {"Authorization": TOKEN}})
    assert text.count("<token>") == 3
    assert all(part not in text for part in TOKEN.split("."))


def test_what_json_cannot_hold_is_shown_as_python_shows_it() -> None:
    assert json.loads(logged("json", "x", extra={"what": 1j}))["what"] == "1j"


def test_the_form_fits_the_stream() -> None:
    for stream, first in ((io.StringIO(), "{"), (Terminal(), "2")):
        logs.configure("info", None, stream)
        log.info("x")
        assert stream.getvalue().startswith(first)


def test_configuring_again_replaces_and_the_level_counts() -> None:
    before, after = io.StringIO(), io.StringIO()
    logs.configure("debug", "json", before)
    logs.configure("warning", "json", after)
    log.info("too quiet")
    log.warning("loud enough")
    assert before.getvalue() == ""
    assert after.getvalue().count("\n") == 1


def test_chatter_of_libraries_stays_out() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logging.getLogger("alembic.runtime.plugins").info("setup plugin")
    logging.getLogger("alembic.runtime.plugins").warning("a real problem")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["a real problem"]
