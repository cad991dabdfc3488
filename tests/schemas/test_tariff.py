from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.base import encode, parse
from schemas.call import AdminCallRequest
from schemas.problem import InvalidBody
from schemas.tariff import Tariff
from schemas.wallet import RateRequest


def problems(kind: type, body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(InvalidBody) as refused:
        parse(kind, body)
    return [(one.path, one.problem) for one in refused.value.details]


def test_what_is_left_out_of_a_tariff_is_by_the_minute_from_the_beginning() -> None:
    assert parse(Tariff, b'{"unitSeconds": 60, "unitPoints": 100}') == Tariff(
        unit_seconds=60.0, unit_points=100, charge="elapsed", free_seconds=0, minimum_units=1
    )


def test_a_tariff_is_read_as_it_was_written() -> None:
    tariff = Tariff(unit_seconds=0.5, unit_points=3, charge="started", free_seconds=7, minimum_units=2, max_seconds=99)
    assert parse(Tariff, encode(tariff)) == tariff


@pytest.mark.parametrize(
    ("given", "path", "problem"),
    [
        (b'"unitSeconds": 0, "unitPoints": 1', "unitSeconds", "must be 0.001 to 86400"),
        (b'"unitSeconds": -60, "unitPoints": 1', "unitSeconds", "must be 0.001 to 86400"),
        (b'"unitSeconds": 60, "unitPoints": -1', "unitPoints", "must be 0 to 1000000000"),
        (b'"unitSeconds": 60, "unitPoints": 9007199254740993', "unitPoints", "must be 0 to 1000000000"),
        (b'"unitSeconds": 1, "unitPoints": 100000000', "unitPoints", "must be at most 1000000000 a minute"),
        (b'"unitSeconds": 60, "unitPoints": 1, "charge": "later"', "charge", 'must be "elapsed" or "started"'),
        (b'"unitSeconds": 60, "unitPoints": 1, "minimumUnits": 0', "minimumUnits", "must be 1 to 3600"),
        (b'"unitSeconds": 60, "unitPoints": 1, "freeSeconds": 0.5', "freeSeconds", "must be a whole number"),
        (b'"unitSeconds": 60, "unitPoints": 1, "maxSeconds": 0', "maxSeconds", "must be 1 to 86400"),
        (b'"unitPoints": 1', "unitSeconds", "is required"),
        (b'"unitSeconds": 60, "unitPoints": 1, "vat": 10', "vat", "is not a known field"),
    ],
)
def test_a_tariff_that_can_not_be_is_refused_with_the_place(given: bytes, path: str, problem: str) -> None:
    assert problems(Tariff, b"{" + given + b"}") == [(path, problem)]
    call = b'{"userId": "u", "otomoId": "o", "tariff": {' + given + b"}}"
    assert problems(AdminCallRequest, call) == [(f"tariff.{path}", problem)]
    assert problems(RateRequest, b'{"tariff": {' + given + b"}}") == [(f"tariff.{path}", problem)]


@pytest.mark.parametrize("given", [b'"minimumUnits": 6', b'"minimumUnits": 1, "freeSeconds": 300'])
def test_a_minimum_that_is_not_over_within_the_longest_duration_is_refused(given: bytes) -> None:
    body = b'{"unitSeconds": 60, "unitPoints": 1, "maxSeconds": 359, ' + given + b"}"
    [(path, problem)] = problems(Tariff, body)
    assert path == "minimumUnits"
    assert "within maxSeconds" in problem
    assert parse(Tariff, body.replace(b"359", b"360")).max_seconds == 360


def test_a_free_call_may_be_shorter_than_a_unit() -> None:
    free = parse(Tariff, b'{"unitSeconds": 60, "unitPoints": 0, "maxSeconds": 30}')
    with pytest.raises(ValueError, match="minimumUnits"):
        replace(free, unit_points=1)


@pytest.mark.parametrize(("seconds", "points", "a_minute"), [(60, 100, 100), (180, 301, 101), (1, 2, 120), (7, 0, 0)])
def test_the_price_of_a_minute_counts_a_fraction_as_a_point(seconds: float, points: int, a_minute: int) -> None:
    assert Tariff(unit_seconds=seconds, unit_points=points).price_per_minute == a_minute


def test_a_rate_is_a_price_or_a_tariff() -> None:
    both = b'{"pricePerMinute": 1, "tariff": {"unitSeconds": 60, "unitPoints": 1}}'
    assert problems(RateRequest, both) == [("tariff", "must not be given together with pricePerMinute")]
    assert problems(RateRequest, b"{}") == [("pricePerMinute", "is required")]


def test_a_call_has_a_price_or_a_tariff_or_neither() -> None:
    start = b'{"userId": "u", "otomoId": "o"'
    [(path, _)] = problems(
        AdminCallRequest, start + b', "pricePerMinute": 1, "tariff": {"unitSeconds": 60, "unitPoints": 1}}'
    )
    assert path == "tariff"
    parse(AdminCallRequest, start + b"}")
