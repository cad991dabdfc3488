"""A worker is what it says, or the check says what is wrong."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.worker_bridge.native.stand_ins import write_executable
from worker_bridge.codec import MessageCodec
from worker_bridge.errors import NativeError, VersionMismatch
from worker_bridge.native import NativeWorker, cache, check, locate, probe_frames, verify


def test_the_worker_of_this_machine_works() -> None:
    worker = locate()
    descriptors = sorted(Path("/proc/self/fd").iterdir())
    report = check(worker)
    assert (report.path, report.version, report.origin) == (worker.binary, cache.worker_version(), worker.origin)
    assert report.milliseconds > 0
    assert not Path(f"/proc/{report.pid}").exists()  # ended, and reaped
    assert sorted(Path("/proc/self/fd").iterdir()) == descriptors


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("exit 41", "ended"),
        ("echo error: no such library >&2; exit 127", "ended, saying 'error: no such library'"),
        (r"printf '\377\377\377\377' >&4", "writes garbage"),
        (r"printf '\4\0\0\0\0\0\0\0' >&4", "writes garbage"),
    ],
)
def test_what_is_no_worker_is_told(schema_path: Path, tmp_path: Path, script: str, what: str) -> None:
    binary = write_executable(tmp_path / "worker", f"#!/bin/sh\n{script}\n")
    worker = NativeWorker(binary, schema_path, cache.worker_version(), "given")
    with pytest.raises(NativeError) as caught:
        check(worker)
    assert str(caught.value).startswith(f"{binary} {what}")
    assert "set VOICEPLANE_WORKER_BIN to a worker of mediasoup" in str(caught.value)
    with pytest.raises(NativeError, match=r"run `python -m worker_bridge.native build --force`$"):
        check(replace(worker, origin="built"))


def test_what_cannot_be_started_is_told(schema_path: Path, tmp_path: Path) -> None:
    binary = write_executable(tmp_path / "worker", "\x7fELF of another machine")
    with pytest.raises(NativeError, match=r"can't be started \(Exec format error\)"):
        check(NativeWorker(binary, schema_path, cache.worker_version(), "built"))


def test_a_schema_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "message.bfbs").write_bytes(b"nonsense")
    with pytest.raises(
        NativeError, match=r"is no use \(not a binary schema\): run `python -m worker_bridge.native build --force`"
    ):
        check(replace(locate(), schema=tmp_path / "message.bfbs"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ROUTER_DUMP", "TRANSPORT_DUMP"),  # the worker answers by another name
        ("WORKER_CLOSE_ROUTER", "WEBRTCSERVER_DUMP"),  # the worker dies, of a request for itself without a body
    ],
)
def test_a_schema_of_another_release_is_found_out(schema_path: Path, tmp_path: Path, one: str, other: str) -> None:
    for path in (schema_path.parent / "fbs").glob("*.fbs"):
        text = path.read_text()
        for name, changed in ((one, "@"), (other, one), ("@", other)):  # methods change places
            text = text.replace(f" {name},", f" {changed},")
        (tmp_path / path.name).write_text(text)
    command = ["flatc", "--binary", "--schema", "--bfbs-builtins", "message.fbs"]
    subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(VersionMismatch, match="of another release than the schema"):
        check(replace(locate(), schema=tmp_path / "message.bfbs"))


# ---------------------------------------------------------------- the probe alone


@pytest.fixture(scope="module")
def messages(schema_path: Path) -> MessageCodec:
    return MessageCodec(schema_path.read_bytes())


def answers(messages: MessageCodec) -> list[dict[str, Any]]:
    sent = [messages.decode(frame)["data"] for frame in probe_frames(messages)]
    return [answer(request["id"], request["method"].lower().replace("_", ".")) for request in sent]


def answer(request_id: int, method: str) -> dict[str, Any]:
    return {
        "id": request_id,
        "accepted": False,
        "reason": f"Channel request handler with ID x not found [method:{method}]",
    }


def test_the_probe_asks_for_every_method_that_a_handler_answers(messages: MessageCodec) -> None:
    sent = [messages.decode(frame)["data"] for frame in probe_frames(messages)]
    assert [request["id"] for request in sent] == list(range(7, 68))
    assert all(messages.methods[request["method"]] == request["id"] for request in sent)
    assert {request["body"] for request in sent} == {None}


def test_answers_in_any_order_are_fine(messages: MessageCodec) -> None:
    verify(messages, reversed(answers(messages)))


@pytest.mark.parametrize(
    "wrong",
    [
        answer(8, "router.dumpAll"),
        {"id": 8, "accepted": False, "reason": "unknown method"},
        {"id": 8, "accepted": True, "reason": None},
        answer(6, "worker.closeRouter"),
    ],
)
def test_an_answer_that_is_not_ours_is_a_mismatch(messages: MessageCodec, wrong: dict[str, Any]) -> None:
    given = [wrong if response["id"] == 8 else response for response in answers(messages)]
    with pytest.raises(VersionMismatch):
        verify(messages, given)


def test_a_missing_answer_is_a_mismatch(messages: MessageCodec) -> None:
    with pytest.raises(VersionMismatch, match="did not answer to RTPOBSERVER_REMOVE_PRODUCER"):
        verify(messages, answers(messages)[:-1])
