"""URLs that somebody gives us to call, as text alone: what is wrong with one, and its one spelling."""

from __future__ import annotations

from yarl import URL

SCHEMES = ("http", "https")


def fault(text: str) -> str | None:
    """What is wrong with the URL, to follow its name in a sentence; None where nothing is."""
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        return "is not a URL"
    if url.scheme not in SCHEMES or not host:
        return "must be an http:// or https:// URL with a host"
    if url.user is not None or url.password is not None:
        return "must hold no user and no password"
    if url.raw_fragment:
        return "must have no fragment"
    if not port:
        return "must have a port from 1 to 65535, or none"
    return None


def spelled(text: str) -> str:
    """The URL in ASCII: a host of other letters as IDNA (RFC 5891), a path of others in percent-encoding."""
    return str(URL(text))
