"""The document of an application that was made and never started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from app.application import create_app
from app.rest.docs import DOCUMENT
from app.settings import Settings

Json = dict[str, Any]


@pytest.fixture
def app(tmp_path: Path) -> web.Application:
    return create_app(Settings(data_dir=tmp_path))


@pytest.fixture
def document(app: web.Application) -> Json:
    found: Json = orjson.loads(app[DOCUMENT].raw)
    return found
