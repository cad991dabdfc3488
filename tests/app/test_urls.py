"""URLs that somebody gives: what is refused, and how one is spelled."""

from __future__ import annotations

import pytest

from app.urls import fault, spelled


@pytest.mark.parametrize(
    "url",
    [
        "https://backend.example/voice",
        "http://backend.example:8443/a?b=c",
        "https://例え.jp/通知",
        "https://[2001:db8::1]:8443/",
        "https://backend.example",
        "HTTPS://BACKEND.example/",
    ],
)
def test_a_url_that_can_be_called(url: str):
    assert fault(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://backend.example/", "http"),
        ("file:///etc/passwd", "http"),
        ("javascript:alert(1)", "http"),
        ("//backend.example/", "http"),
        ("backend.example/voice", "http"),
        ("https:///voice", "host"),
        ("https://me@backend.example/", "user"),
        ("https://me:secret@backend.example/", "user"),
        ("https://:secret@backend.example/", "user"),
        ("https://backend.example/#top", "fragment"),
        ("https://backend.example:0/", "port"),
        ("https://backend.example:99999/", "URL"),
        ("https://backend.example:x/", "URL"),
        ("https://[::1/", "URL"),
    ],
)
def test_a_url_that_is_refused(url: str, problem: str):
    assert problem in str(fault(url))


def test_other_scripts_are_spelled_in_ascii():
    assert spelled("https://例え.jp/通知?問=1") == "https://xn--r8jz45g.jp/%E9%80%9A%E7%9F%A5?%E5%95%8F=1"
