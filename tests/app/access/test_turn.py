from __future__ import annotations

import base64
import hashlib
import hmac

from app.access.tokens import Role
from app.access.turn import ice_servers
from app.person import Person
from app.settings import Settings

HOUR_S = 3600
TOP_OF_AN_HOUR = 500_000 * HOUR_S
TURN = Settings(turn_urls=("turn:turn.example.com",), turn_secret="between the two servers")


def name_at(second: float, role: Role = "user", user_id: str = "17") -> str:
    servers = ice_servers(TURN, clock=lambda: second)(Person(role, user_id))
    assert servers is not None
    assert servers[0].username is not None
    return servers[0].username


def test_a_party_has_one_name_for_an_hour() -> None:
    names = {name_at(TOP_OF_AN_HOUR + second) for second in (0, 0.5, 1800, HOUR_S - 0.001)}
    assert names == {f"{TOP_OF_AN_HOUR + 2 * HOUR_S}:user:17"}
    assert name_at(TOP_OF_AN_HOUR + HOUR_S) == f"{TOP_OF_AN_HOUR + 3 * HOUR_S}:user:17"


def test_a_name_is_valid_for_an_hour_at_least_and_for_two_at_most() -> None:
    for second in range(0, HOUR_S, 59):
        left = int(name_at(TOP_OF_AN_HOUR + second).partition(":")[0]) - (TOP_OF_AN_HOUR + second)
        assert HOUR_S <= left <= 2 * HOUR_S


def test_a_user_and_an_otomo_of_one_id_have_names_of_their_own() -> None:
    assert name_at(0, "user") != name_at(0, "otomo")


def test_the_credential_is_the_names_hmac() -> None:
    [server] = ice_servers(TURN)(Person("otomo", "17")) or ()
    digest = hmac.digest(b"between the two servers", str(server.username).encode(), hashlib.sha1)
    assert server.credential == base64.b64encode(digest).decode()


def test_without_a_turn_server_there_is_none() -> None:
    assert ice_servers(Settings())(Person("user", "17")) is None
