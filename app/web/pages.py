"""The pages for browsers, an admins' dashboard and a demo, and the client that pages are written with. Static files,
public, without any data of ours.

Each page may load its own files and talk to its own origin, and nothing else (Content Security Policy Level 3). It gets
what it shows from the API, with a token, like any client. The browser's client is built by ``app.web.build``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aiohttp import HttpVersion11, hdrs, web

from app.addresses import is_loopback
from app.errors import NOT_FOUND
from app.http.middleware import public
from app.keys import SETTINGS
from app.openapi.declaration import answers
from app.web.build import BUILT, BUNDLE, HERE

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML = ("text/html",)
KINDS = MappingProxyType({".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"})
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # no path, and no name that a file system refuses
ASSET = tuple(KINDS.values())

CLIENT_KINDS = MappingProxyType({BUNDLE: "text/javascript", f"{BUNDLE}.map": "application/json"})
FOR_ANY_PAGE = MappingProxyType(  # code that anybody may read, for pages of other origins, isolated ones included
    {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
)
VERSION = re.compile(r"[0-9a-f]{16}")
FOR_EVER = "public, max-age=31536000, immutable"  # RFC 8246

LOOPBACK_HOST = re.compile(
    r"(localhost|[a-z0-9.-]+\.localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE
)
FORWARDING = re.compile(  # header fields by which proxies say that they forward a request, and whose
    r"forwarded|via$|x-forwarded|x-real|x-original|x-envoy|x-proxy|x-amz|x-azure|cf-|fastly-|fly-|cdn-"
    r"|([a-z]+-)*client-ip|x-scheme|x-host|x-url-scheme|front-end-https",
    re.IGNORECASE,
)

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Page:
    """A page made of the files in ``folders``, the first folder that has a name counting. ``microphone``: whether the
    page may use it; ``plays``: whether it plays what it has fetched, which a player is given as a blob."""

    folders: tuple[Path, ...]
    microphone: bool = False
    plays: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "Content-Security-Policy": POLICY.replace("media-src 'self'", "media-src 'self' blob:")
            if self.plays
            else POLICY,
            "Permissions-Policy": f"microphone={'(self)' if self.microphone else '()'}, camera=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            hdrs.CACHE_CONTROL: "no-cache",  # browsers must revalidate: a release changes all files at once
        }

    def index(self) -> web.FileResponse:
        headers = {**self.headers, hdrs.CONTENT_TYPE: "text/html; charset=utf-8"}
        return web.FileResponse(self.folders[0] / "index.html", headers=headers)

    def asset(self, name: str) -> web.FileResponse:
        """A file of the page by its name. Raises HTTPNotFound where there is none."""
        kind = KINDS.get(Path(name).suffix)
        if kind is None or not NAME.fullmatch(name):
            raise web.HTTPNotFound
        found = next((path for folder in self.folders if (path := folder / name).is_file()), None)
        if found is None:
            raise web.HTTPNotFound
        return web.FileResponse(found, headers={**self.headers, hdrs.CONTENT_TYPE: f"{kind}; charset=utf-8"})


DASHBOARD = Page((HERE / "dashboard", HERE / "shared"), microphone=True, plays=True)  # of admins who speak and listen
DEMO = Page((HERE / "demo", HERE / "shared"), microphone=True)


@routes.get("/")
@public
@answers({302: None})
async def to_first_page(request: web.Request) -> web.Response:
    """Redirects to the demo page where the demo is on, else to the page of this description."""
    raise web.HTTPFound("demo" if demo_is_for(request) else "docs")


@routes.get("/admin")
@public
@answers({302: None})
async def to_dashboard(_: web.Request) -> web.Response:
    """Redirects to the dashboard."""
    raise web.HTTPFound("admin/")  # relative, since a proxy may have put a prefix before our paths


@routes.get("/admin/")
@public
@answers({200: HTML})
async def get_dashboard(_: web.Request) -> web.StreamResponse:
    """The admins' dashboard. The page itself asks for a token."""
    return DASHBOARD.index()


@routes.get("/admin/assets/{name}")
@public
@answers({200: ASSET}, NOT_FOUND)
async def get_dashboard_asset(request: web.Request) -> web.StreamResponse:
    """A file of the dashboard."""
    return DASHBOARD.asset(request.match_info["name"])


@routes.get("/demo")
@public
@answers({200: HTML}, NOT_FOUND)
async def get_demo(request: web.Request) -> web.StreamResponse:
    """The demo page: two windows of it call each other."""
    require_demo(request)
    return DEMO.index()


@routes.get("/demo/assets/{name}")
@public
@answers({200: ASSET}, NOT_FOUND)
async def get_demo_asset(request: web.Request) -> web.StreamResponse:
    """A file of the demo page."""
    require_demo(request)
    return DEMO.asset(request.match_info["name"])


@routes.get("/client/{name}")
@public
@answers({200: tuple(CLIENT_KINDS.values())}, NOT_FOUND)
async def get_client(request: web.Request) -> web.StreamResponse:
    """The browser's client as one module, `voiceplane.js`, as this server has it.

    `Content-Location` (RFC 9110 §8.7) names the address at which this version never changes.
    """
    name = request.match_info["name"]
    found = next(BUILT.glob(f"client/*/{BUNDLE}"), None)
    if found is None:
        raise web.HTTPNotFound
    headers = {hdrs.CACHE_CONTROL: "no-cache", "Content-Location": f"{found.parent.name}/{name}"}
    return client_file(found.parent.name, name, headers)


@routes.get("/client/{version}/{name}")
@public
@answers({200: tuple(CLIENT_KINDS.values())}, NOT_FOUND)
async def get_client_version(request: web.Request) -> web.StreamResponse:
    """The client at the address of one version, which browsers may cache for ever."""
    return client_file(request.match_info["version"], request.match_info["name"], {hdrs.CACHE_CONTROL: FOR_EVER})


def client_file(version: str, name: str, headers: Mapping[str, str]) -> web.FileResponse:
    """A file of one version of the client. Raises HTTPNotFound where there is none."""
    kind, file = CLIENT_KINDS.get(name), BUILT / "client" / version / name
    if kind is None or not VERSION.fullmatch(version) or not file.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(file, headers={**FOR_ANY_PAGE, hdrs.CONTENT_TYPE: f"{kind}; charset=utf-8", **headers})


def require_demo(request: web.Request) -> None:
    """Raises HTTPNotFound where the demo is off; where it is on by default only, also for all but this machine."""
    if not demo_is_for(request):
        raise web.HTTPNotFound


def demo_is_for(request: web.Request) -> bool:
    settings = request.app[SETTINGS]
    return settings.demo_is_on and (settings.demo == "on" or is_from_here(request))


def is_from_here(request: web.Request) -> bool:
    """Whether a browser on this machine asks for a page of this machine: no sign of a proxy that asks for others, and
    no other host name that was made to point here (DNS rebinding)."""
    return (
        is_loopback(request.remote or "")
        and LOOPBACK_HOST.fullmatch(request.headers.get(hdrs.HOST, "")) is not None
        and request.version >= HttpVersion11  # browsers never speak 1.0; nginx does by default
        and not any(map(FORWARDING.match, request.headers))
    )
