"""A node with its default settings, and one more page: whoever has a page of their own gives it the API's origin."""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

from app import logs
from app.application import create_app
from app.http.middleware import public
from app.http.server import run_async, serve
from app.settings import Settings


def main(page: Path, script: Path) -> int:
    logs.configure("info", "json")
    settings = Settings.from_env()
    app = create_app(settings)

    @public
    async def get_page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(page)

    @public
    async def get_script(_: web.Request) -> web.FileResponse:
        return web.FileResponse(script)

    app.add_routes([web.get("/recipe", get_page), web.get("/recipe.js", get_script)])
    return run_async(serve(app, settings))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
