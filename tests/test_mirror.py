"""The tests stand where their sources stand: `tests/app/calls/test_call.py` tests `app/calls/call.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MIRRORED = ("app", "schemas", "voiceplane", "worker_bridge")
COVERED = ("app", "schemas", "voiceplane")
SMALL = 15  # statements in functions: a file with fewer may be tested by those that use it

# Tests of what no single file holds. A path that ends in a slash is everything in that folder.
WITHOUT_SOURCE = {
    "tests/worker_bridge/parity/": "by the names of upstream's own tests, from which they were translated",
    "tests/worker_bridge/native/test_codec_garbage.py": "the codec's sources are C++, in `native/codec`",
    "tests/worker_bridge/native/test_codec_roundtrip.py": "as above",
    "tests/worker_bridge/native/test_codec_verifier.py": "as above",
    "tests/worker_bridge/native/test_locate.py": "how `native/__init__.py` chooses among cache, wheel and environment",
    "tests/worker_bridge/test_faults.py": "each object that a worker makes, with a worker that fails at it",
    "tests/worker_bridge/test_forged_dtls.py": "the worker itself, and our mending of it",
    "tests/worker_bridge/test_frames.py": "the frames of `channel.py`, whose own test is full",
    "tests/worker_bridge/test_misuse.py": "every public method",
    "tests/worker_bridge/test_node_json.py": "the JSON of all values, held against Node's",
    "tests/worker_bridge/test_parity_document.py": "`docs/parity.md`",
    "tests/worker_bridge/test_pyee_versions.py": "a requirement",
    "tests/worker_bridge/test_reference.py": "the docstrings of the package",
    "tests/worker_bridge/test_transports.py": "what all kinds of transports have in common",
}

# Files that are tested by a test of another name, most of them through the whole node. The longest prefix counts.
TESTED_BY = {
    "app/announcing/announcing.py": "tests/integration/test_announcing.py",
    "app/application.py": "tests/integration/test_calls_without_media.py",
    "app/calls/call_events.py": "tests/integration/test_calls_without_media.py",
    "app/calls/people.py": "tests/integration/test_people.py",
    "app/calls/missing_callers.py": "tests/integration/test_coming_back.py",
    "app/sound.py": "tests/integration/test_announcing.py",
    "app/settings_checks.py": "tests/app/test_settings.py",
    "app/settings_text.py": "tests/app/test_settings.py",
    "app/recording/recorder.py": "tests/integration/test_recording.py",
    "app/recording/recording.py": "tests/integration/test_recording.py",
    "app/recording/recordings.py": "tests/integration/test_recording.py",
    "app/recording/writer.py": "tests/integration/test_recording.py",
    "app/rest/recordings.py": "tests/integration/test_recording.py",
    "app/calls/record.py": "tests/integration/test_call_quality.py",
    "app/cluster/": "tests/cluster/test_cluster.py",
    "app/http/body.py": "tests/app/http/test_middleware.py",
    "app/ledger/bulk.py": "tests/app/ledger/test_charging.py",
    "app/ledger/call_details.py": "tests/app/ledger/test_outbox.py",
    "app/ledger/database.py": "tests/app/ledger/test_upgrade.py",
    "app/ledger/errors.py": "tests/app/ledger/test_calls.py",
    "app/ledger/nodes.py": "tests/cluster/test_cluster.py",
    "app/ledger/adjustments.py": "tests/app/ledger/test_wallets.py",
    "app/ledger/notices.py": "tests/app/ledger/test_outbox.py",
    "app/ledger/people.py": "tests/integration/test_people.py",
    "app/ledger/values.py": "tests/app/ledger/test_charging.py",
    "app/ledger/webhook_store.py": "tests/app/ledger/test_deliveries.py",
    "app/openapi/": "tests/app/openapi/test_document.py",
    "app/ops/cluster_gauges.py": "tests/cluster/test_operating.py",
    "app/ops/forwarding_probe.py": "tests/app/ops/test_probe.py",
    "app/ops/gauges.py": "tests/app/ops/test_metrics.py",
    "app/ops/inspection.py": "tests/integration/test_call_quality.py",
    "app/ops/sampler.py": "tests/app/ops/test_workers.py",
    "app/ops/vitals.py": "tests/app/ops/test_workers.py",
    "app/rest/admin.py": "tests/integration/test_calls_without_media.py",
    "app/media/booth.py": "tests/integration/test_supervision.py",
    "app/media/seats.py": "tests/integration/test_supervision.py",
    "app/rest/announcing.py": "tests/integration/test_announcing.py",
    "app/rest/bans.py": "tests/integration/test_people.py",
    "app/rest/calls.py": "tests/integration/test_calls_without_media.py",
    "app/rest/internal.py": "tests/cluster/test_cluster.py",
    "app/rest/live.py": "tests/integration/test_call_quality.py",
    "app/rest/node.py": "tests/app/ops/test_workers.py",
    "app/rest/nodes.py": "tests/app/ops/test_nodes.py",
    "app/rest/people.py": "tests/integration/test_people.py",
    "app/rest/search.py": "tests/integration/test_search.py",
    "app/rest/points.py": "tests/integration/test_tariffs.py",
    "app/rest/supervision.py": "tests/integration/test_supervision.py",
    "app/supervision/": "tests/integration/test_supervision.py",
    "app/rest/rtc.py": "tests/hostile/test_hostile_objects.py",
    "app/signaling/stored.py": "tests/integration/test_people.py",
    "app/signaling/commands.py": "tests/integration/test_calls_without_media.py",
    "app/watch/audio_faults.py": "tests/integration/test_call_quality.py",
    "app/watch/sweeper.py": "tests/integration/test_counting.py",
    "app/streaming/": "tests/app/streaming/test_process.py",
    "app/webhooks/registration.py": "tests/app/rest/test_webhooks.py",
    "schemas/described.py": "tests/app/openapi/test_document.py",
    "voiceplane/cli/call.py": "tests/integration/test_call_command.py",
    "voiceplane/cli/doctor.py": "tests/voiceplane/doctor/test_examination.py",
    "voiceplane/cli/loadscreen.py": "tests/integration/test_loadtest_command.py",
    "voiceplane/client/": "tests/integration/test_client.py",
    "voiceplane/client/handler.py": "tests/integration/test_two_parties.py",
    "voiceplane/doctor/": "tests/voiceplane/doctor/test_examination.py",
    "voiceplane/loadtest/": "tests/integration/test_loadtest_command.py",
}


def sources(package: str) -> Iterator[Path]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__init__.py" and "migrations" not in path.parts:
            yield path.relative_to(ROOT)


def files_of_tests(package: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / "tests" / package).rglob("test_*.py"))


def source_of(test: Path, known: set[Path]) -> Path | None:
    """`test_call.py` tests `call.py`, and so does `test_call_in_trouble.py`; the longest name counts."""
    folder, words = test.relative_to("tests").parent, test.stem.split("_")[1:]
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return next((path for name in names if (path := folder / f"{name}.py") in known), None)


def listed(path: Path, table: dict[str, str]) -> str | None:
    """The longest key of a table that is the file, or a folder that it is in."""
    name = path.as_posix()
    keys = [key for key in table if name == key or (key.endswith("/") and name.startswith(key))]
    return max(keys, key=len, default=None)


def size(path: Path) -> int:
    """How many statements stand in the functions of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return sum(len(node.body) for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize("package", MIRRORED)
def test_every_test_stands_where_its_source_stands(package: str) -> None:
    known = set(sources(package))
    assert [
        str(test)
        for test in files_of_tests(package)
        if source_of(test, known) is None and listed(test, WITHOUT_SOURCE) is None
    ] == []


@pytest.mark.parametrize("package", COVERED)
def test_every_source_has_its_test_or_says_where_it_is_tested(package: str) -> None:
    known = set(sources(package))
    tested = {source_of(test, known) for test in files_of_tests(package)}
    assert [str(path) for path in known - tested if size(path) >= SMALL and listed(path, TESTED_BY) is None] == []


def test_no_list_names_what_is_not_there_or_need_not_be_named() -> None:
    known = {path for package in MIRRORED for path in sources(package)}
    mirroring = [test for package in MIRRORED for test in files_of_tests(package)]
    tested = {source_of(test, known) for test in mirroring}
    without = {listed(test, WITHOUT_SOURCE) for test in mirroring if source_of(test, known) is None}
    assert set(WITHOUT_SOURCE) - without == set()
    assert [test for test in TESTED_BY.values() if not (ROOT / test).is_file()] == []
    missing = {listed(path, TESTED_BY) for path in known - tested if size(path) >= SMALL}
    assert set(TESTED_BY) - missing == set()
