"""Names in camelCase are written once, by the Structs that have them: no key in the sources is typed by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "schemas", "voiceplane", "worker_bridge")
CAMEL_CASE = re.compile(r"[a-z][a-z0-9]*[A-Z][A-Za-z0-9]*")
LOOK_UPS = {"get", "pop", "setdefault"}

FOREIGN = {
    "app/ledger/calls.py": {"userId"},  # records that older releases stored
    "app/openapi/operation.py": {"operationId", "requestBody"},  # OpenAPI
    "app/openapi/texts.py": {"bearerFormat"},  # OpenAPI
    "app/signaling/asyncapi.py": {  # AsyncAPI, and JSON Schema within it
        "additionalProperties", "bearerFormat", "bindingVersion", "defaultContentType", "securitySchemes",
        "requestId",  # of an envelope, which is described around each payload
    },
    "schemas/described.py": {"anyOf"},  # JSON Schema
    "voiceplane/client/handler.py": {"iceCandidates"},  # an argument of pymediasoup's
    "voiceplane/client/stats.py": {  # W3C's statistics, from aiortc
        "bytesSent", "packetsLost", "packetsReceived", "packetsSent", "roundTripTime",
    },
    "voiceplane/client/tokens.py": {"userId"},  # a claim that some issuers write for `sub`
    "worker_bridge/native/commands.py": {"answeredAfterMs"},  # its module has nothing but Python's own library
    "worker_bridge/worker_settings.py": {  # options of mediasoup's worker
        "logLevel", "rtcMinPort", "rtcMaxPort", "dtlsCertificateFile", "dtlsPrivateKeyFile", "libwebrtcFieldTrials",
    },
}  # fmt: skip
"""What other formats call things, by file."""


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def keys(tree: ast.AST) -> Iterator[ast.expr | None]:
    """Whatever names an entry of a dict: where one is made, read, looked for or matched."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys=named) | ast.MatchMapping(keys=named):
                yield from named
            case ast.Subscript(slice=name):
                yield name
            case ast.Call(func=ast.Attribute(attr=method), args=[name, *_]) if method in LOOK_UPS:
                yield name
            case ast.Compare(left=name, ops=[ast.In() | ast.NotIn()]):
                yield name


def camel_case_keys(text: str) -> set[str]:
    named = (one.value for one in keys(ast.parse(text)) if isinstance(one, ast.Constant))
    return {name for name in named if isinstance(name, str) and CAMEL_CASE.fullmatch(name)}


def test_no_key_of_ours_is_typed_in_camel_case() -> None:
    found = {str(file.relative_to(ROOT)): camel_case_keys(file.read_text(encoding="utf-8")) for file in sources()}
    assert {name: keys for name, keys in found.items() if keys} == FOREIGN


@pytest.mark.parametrize(
    "text",
    [
        'body = {"callId": 1}',
        'body["callId"] = 1',
        'call_id = body["callId"]',
        'body.get("callId")',
        'body.setdefault("callId", [])',
        '"callId" in body',
        'match body:\n    case {"callId": call_id}: pass',
    ],
)
def test_a_key_is_seen_wherever_it_can_stand(text: str) -> None:
    assert camel_case_keys(text) == {"callId"}


def test_what_is_no_key_or_no_camel_case_is_let_be() -> None:
    assert camel_case_keys('CALL = "callId"; body = {"call_id": "callId", "URL": 1, 2: 3}; tell("callId")') == set()
