"""How log records look: one line each, JSON for machines or text for people. Knows nothing of who logs what.

Whatever looks like a JWT is cut out of every line, wherever it came from: a token in a log is a token lost.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TextIO

import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from app.settings import LogFormat
from schemas.types import iso

TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*")  # `{"` in base64url starts with eyJ
CHATTY = ("alembic",)  # repeats itself at info; the ledger logs upgrades by itself
HTTP = "aiohttp.server"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str = "info", form: LogFormat | None = None, stream: TextIO | None = None) -> None:
    """Send every record of ``level`` and above to ``stream`` (stderr), as ``form`` or as fits the stream.

    May be called again: what it set before is replaced.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines() if (form or fitting(stream)) == "text" else JsonLines())
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one.formatter, TextLines | JsonLines)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.getLogger(HTTP).addFilter(is_our_error)  # a second call adds nothing
    logging.captureWarnings(capture=True)


def fitting(stream: TextIO) -> LogFormat:
    return "text" if stream.isatty() else "json"


def is_our_error(record: logging.LogRecord) -> bool:
    """Drop what aiohttp logs of malformed requests, with a traceback each: a port scanner could fill a log with
    them."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What the caller gave as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def at(record: logging.LogRecord) -> str:
    return iso(int(record.created * 1000))


def without_tokens(text: str) -> str:
    return TOKEN.sub("<token>", text)


class JsonLines(logging.Formatter):
    """One object per line: ``at``, ``level``, ``logger``, ``message``, the extras, and any ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return without_tokens(msgspec.json.encode(line, enc_hook=repr).decode())


class TextLines(logging.Formatter):
    """Time, level, logger, message and extras on one line; a traceback follows it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")  # a client's text can't forge a line
        more = "".join(f" {name}={value!r}" for name, value in extras(record).items())
        line = f"{at(record)} {record.levelname:<7} {record.name}: {message}{more}"
        if record.exc_info:
            line += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        if record.stack_info:
            line += "\n    " + record.stack_info.replace("\n", "\n    ")
        return without_tokens(line)
