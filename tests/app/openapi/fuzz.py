"""schemathesis against a running node: requests made from its own description, good and bad, and what is wrong with the
answers.

Ids in requests are replaced by those of the world where they are well formed, so that most requests reach beyond a
404. Once an operation has succeeded, some keep their own ids, come from a stranger, or without a token. What is asked
is given by the seed; the world's ids, and so the answers, are the node's.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.engine import Status, events, from_schema
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER

from app.openapi.examples import EXAMPLES
from schemas.producer import ProduceRequest
from schemas.types import UUID_PATTERN
from schemas.webhook import MAX_URL
from tests.app.openapi.world import World

UUID = re.compile(UUID_PATTERN).fullmatch
CLIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}").fullmatch
SHAPES = {
    "callId": re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch,
    "recordingId": re.compile(r"rec_[0-9a-f]{32}").fullmatch,
    "clip": CLIP,
    "music": CLIP,
}
PRINTABLE = st.text(st.characters(categories=["L", "M", "N", "P", "S"]), min_size=1, max_size=128)

ACCEPTED = ["2xx", "3xx", "401", "402", "403", "404", "409", "429"]
RULED = [
    "listCalls",
    "listLiveCalls",
    "exportCalls",
    "getUsage",
    "createProducer",
    "createConsumer",
    "connectTransport",
]
RULED += ["listOtomos", "block", "unblock", "ban", "liftBan", "adjustWallet", "openCall", "requestCall"]
RULED += ["listAudit", "supervise", "changeSupervision"]
RULED += ["createWebhook", "changeWebhook", "listDeliveries", "replayDeliveries", "refundCall", "setRate"]
"""Refused by rules, too, that JSON Schema can't tell: cursors are ours, times of a search are times, codecs the
router's, sums the wallet's, a refund is at most what was paid, a tariff's minimum is over before its end, URLs lead
somewhere, time goes forward, nobody calls oneself, an admin is neither blocked nor banned, and a
whisper is to somebody."""

KEEP_OUT = ("ban", "revokeTokens")  # which nobody is asked to suffer whom the others need


@dataclass
class Found:
    """What a run did and saw: answers by operation and status, and each problem once, with an example."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)

    def by_status(self) -> dict[int, int]:
        counted: Counter[int] = Counter()
        for (_, status), count in self.answers.items():
            counted[status] += count
        return dict(sorted(counted.items()))

    def take(self, event: Any) -> None:
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.problems[f"the run: {event}"] = str(getattr(event, "info", event))
        if not isinstance(event, events.ScenarioFinished):
            return
        for case_id, interaction in event.recorder.interactions.items():
            case = event.recorder.cases[case_id].value
            operation = case.operation.definition.raw
            status = interaction.response.status_code if interaction.response else 0
            self.answers[operation["operationId"], status] += 1
            if operation["security"] and "Authorization" not in interaction.request.headers and status != 401:
                self.problems[f"{event.recorder.label}: {status} without a token"] = repr(case)
        for check in (one for checks in event.recorder.checks.values() for one in checks):
            if check.status is Status.FAILURE:
                self._problem(event.recorder.label, check)

    def _problem(self, label: str, check: Any) -> None:
        failure = check.failure_info.failure
        self.problems.setdefault(
            f"{label}: {check.name}: {failure.title}", f"{failure.message}\n{check.failure_info.code_sample}"
        )


def run(base: str, world: World, loop: asyncio.AbstractEventLoop, max_examples: int, seed: int) -> Found:
    """All phases, in the calling thread; the world is asked in its own loop."""
    schemathesis.openapi.format("printable", PRINTABLE)
    document = requests.get(f"{base}/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(document, config=configured(base, max_examples, seed, naming(document)))
    chance = random.Random(seed)
    succeeded: set[str] = set()

    def misses(one_in: int, case: Any) -> bool:
        return name_of(case) in succeeded and chance.random() < 1 / one_in

    def before_call(_: Any, case: Any, kwargs: Any) -> None:
        operation = case.operation.definition.raw
        aiming = world.aim(operation["operationId"], operation["tags"][0])
        aim = asyncio.run_coroutine_threadsafe(aiming, loop).result()
        take_aim(case, {name: id_ for name, id_ in aim.ids.items() if not misses(8, case)})
        know_better(case, chance)
        if name_of(case) in KEEP_OUT and case.path_parameters.get("userId") in world.tokens:  # as answers have told
            case.path_parameters["userId"] = aim.ids["userId"]
        if not operation["security"] or not misses(16, case):
            asks = "eve" if misses(8, case) else aim.user_id
            case.headers["Authorization"] = f"Bearer {world.tokens[asks]}"

    def after_call(_: Any, case: Any, response: Any) -> None:
        if response.status_code < 300:
            succeeded.add(name_of(case))

    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    found = Found()
    try:
        for event in from_schema(schema).execute():
            found.take(event)
    finally:
        GLOBAL_HOOK_DISPATCHER.unregister(before_call)
        GLOBAL_HOOK_DISPATCHER.unregister(after_call)
    return found


def naming(document: Any) -> list[str]:
    """The operations with a person's id in their path. Which characters it may have, the description says roughly."""
    return [
        operation["operationId"]
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if "{userId}" in path or "{otomoId}" in path
    ]


def configured(base: str, max_examples: int, seed: int, naming_people: list[str]) -> schemathesis.Config:
    return schemathesis.Config.from_dict(
        {
            "base-url": base,
            "seed": seed,
            "workers": 1,
            "continue-on-failure": True,
            "generation": {
                "max-examples": max_examples,
                "database": "none",
                "no-shrink": True,
                "with-security-parameters": False,
            },
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "ignored_auth": {"enabled": False},  # its requests without a token would be given one
            },
            "phases": {"stateful": {"enabled": False}},
            "operations": [
                {
                    "include-operation-id": [*RULED, *naming_people],
                    "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "400"]}},
                },
                {
                    "include-operation-id": "serveSocket",  # a request that is no handshake is a 426 before all else
                    "checks": {
                        name: {"enabled": False} for name in ("positive_data_acceptance", "negative_data_rejection")
                    },
                },
            ],
        }
    )


def name_of(case: Any) -> str:
    name: str = case.operation.definition.raw["operationId"]
    return name


def take_aim(case: Any, ids: dict[str, str]) -> None:
    """Put the world's ids where there are well-formed ones."""
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            place |= {name: ids[name] for name in ids.keys() & place.keys() if is_id(name, place[name])}


def know_better(case: Any, chance: random.Random) -> None:
    """What JSON Schema does not say, and what would be the end of the world."""
    if not isinstance(case.body, dict):
        return
    is_good_producer = name_of(case) == "createProducer" and case.meta.generation.mode.is_positive
    if is_good_producer and chance.random() < 1 / 2:  # generated ones have codecs that no router has
        case.body["rtpParameters"] = EXAMPLES[ProduceRequest]["rtpParameters"]
    if case.body.get("mode") == "end" or case.body.get("deadlineSeconds") == 0:
        case.body = {}


def is_id(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if name in ("name", "version", "nodeId"):
        return True
    if name == "url":
        return 0 < len(value) <= MAX_URL and value.isprintable()
    if name in ("userId", "otomoId", "webhookId", "deliveryId"):
        return 0 < len(value) <= 128 and value.isprintable() and " " not in value
    return bool(SHAPES.get(name, UUID)(value))
