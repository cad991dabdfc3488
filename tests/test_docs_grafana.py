"""The dashboard and the alert rules ask for what a node really tells, and every alert is explained."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.calls.call import EndReason
from app.keys import METRICS
from schemas.call import InterruptionReason, MoveReason
from schemas.quality import FlagType

DOCS = Path(__file__).parents[1] / "docs"
NAME = re.compile(r"\b(?:voiceplane|process)_[a-z_]+\b")
SELECTOR = re.compile(r"\b(voiceplane_[a-z_]+)\{([^}]*)\}")
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds to each target
REASONS = {*EndReason, *get_args(InterruptionReason), *get_args(MoveReason)}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def alerts() -> list[dict[str, Any]]:
    rules = yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in rules["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return shown + [rule["expr"] for rule in alerts()]


@pytest.fixture
async def told(server) -> list[Any]:
    """The families of metrics that a node tells of, those without a sample yet included."""
    asked = server.url("/metrics"), server.headers("ada", "admin")
    async with aiohttp.ClientSession() as http, http.get(asked[0], headers=asked[1]) as answer:
        return list(text_string_to_metric_families(await answer.text()))


async def test_every_metric_that_is_asked_for_is_told(told):
    names = {family.name + suffix for family in told for suffix in SUFFIXES[family.type]}
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert asked <= names
    assert len(asked) > 30


async def test_everything_that_is_told_of_calls_is_shown(told):
    shown = {name for expression in expressions() for name in NAME.findall(expression)}
    untold = {
        family.name
        for family in told
        if family.name.startswith("voiceplane_")
        and not shown & {family.name + suffix for suffix in SUFFIXES[family.type]}
    }
    assert untold == {"voiceplane_build_info"}  # which the dashboard's variable asks for


async def test_every_label_that_is_asked_for_is_there(server):
    collectors = server.app[METRICS].registry._collector_to_names
    labels = {one._name: set(one._labelnames) for one in collectors if hasattr(one, "_labelnames")}
    for expression in expressions():
        for name, selector in SELECTOR.findall(expression):
            wanted = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) - OF_PROMETHEUS
            base = re.sub(r"_(total|bucket|count|sum)$", "", name)
            if base in labels:
                assert wanted <= labels[base], expression


def test_reasons_and_flags_in_the_rules_are_ours():
    for expression in expressions():
        for reasons in re.findall(r'reason=~?"([^"]*)"', expression):
            assert set(reasons.split("|")) <= REASONS
        for flag_type in re.findall(r'flags_total\{type="([^"]*)"', expression):
            assert flag_type in set(FlagType)


def test_every_alert_is_whole_and_explained():
    explained = re.findall(r"^\| `(Voiceplane\w+)` \| \S", (DOCS / "operations.md").read_text(encoding="utf-8"), re.M)
    assert [rule["alert"] for rule in alerts()] == explained
    for rule in alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s")), rule["alert"]


def test_no_panel_lies_upon_another():
    placed = [(panel["title"], panel["gridPos"]) for panel in panels()]
    for (one, a), (other, b) in itertools.combinations(placed, 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, f"{one} and {other}"
        assert a["x"] + a["w"] <= 24, one
    assert len({panel["id"] for panel in panels()}) == len(placed)
    for panel in panels():
        assert panel["type"] == "row" or panel["targets"], panel["title"]
