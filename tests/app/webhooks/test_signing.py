"""Signatures, verified by the specification's own libraries, of Python and of Node."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.web import build
from app.webhooks import signing

BODY = '{"type":"call.ended","timestamp":"2026-01-31T12:00:00.000Z","data":{"reason":"良い一日を"}}'.encode()
PACKAGES = Path(__file__).parents[2] / "integration" / "packages"
VERIFY = """
const { Webhook } = require("standardwebhooks");
const { secret, headers, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
try {
  console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
} catch (error) {
  console.log(JSON.stringify(error.constructor.name));
}
"""


def now_s() -> int:
    return int(time.time())


def test_what_is_signed_is_verified():
    secret = signing.new_secret()
    headers = signing.headers("msg_1", now_s(), BODY, [secret])
    assert Webhook(secret).verify(BODY, headers)["data"] == {"reason": "良い一日を"}


@pytest.mark.parametrize("changed", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(now_s() + 1)}])
def test_another_id_or_time_is_not(changed: dict[str, str]):
    secret = signing.new_secret()
    headers = signing.headers("msg_1", now_s(), BODY, [secret])
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers | changed)


def test_while_a_secret_changes_both_verify():
    new, old, other = (signing.new_secret() for _ in range(3))
    headers = signing.headers("msg_1", now_s(), BODY, [new, old])
    assert Webhook(new).verify(BODY, headers) == Webhook(old).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, headers)


@pytest.mark.parametrize(("by", "verdict"), [("right", "message"), ("wrong", "WebhookVerificationError")])
def test_node_verifies_it_too(by: str, verdict: str):
    secret = signing.new_secret()
    headers = signing.headers("msg_1", now_s(), BODY, [signing.new_secret(), secret])
    asked = {"secret": secret if by == "right" else signing.new_secret(), "headers": headers, "body": BODY.decode()}
    packages = build.packages(lambda _: None, PACKAGES)
    done = subprocess.run(
        ["node", "-e", VERIFY], input=json.dumps(asked), cwd=packages.parent, text=True, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == (json.loads(BODY) if verdict == "message" else verdict)


def test_secrets_are_made_as_the_specification_has_them():
    made = {signing.new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(signing.is_secret(one) for one in made)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "secret", "whsec_" + "!" * 40, "whsec_" + "A" * 100])
def test_what_is_no_secret(text: str):
    assert not signing.is_secret(text)
