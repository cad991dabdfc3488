"""The command line as a whole: which commands there are, what they explain, and how they fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest

from voiceplane.cli import main
from voiceplane.cli.root import cli

ROOT = Path(__file__).parents[3]
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("variables", "argv", "sentence"),
    [
        ({"PORT": "x"}, ["serve"], "voiceplane: VOICEPLANE_PORT must be a whole number, not 'x'.\n"),
        (
            {"RTP_STOPPED_AFTER_S": "10"},
            ["serve"],
            "VOICEPLANE_RTP_STOPPED_AFTER_S is gone: a silence",
        ),
        ({"RTP_GRACE_S": "5"}, ["serve"], "VOICEPLANE_RTP_GRACE_S is gone: whatever is gone of a party"),
        ({"JWT_SECRET": "short"}, ["serve"], "voiceplane: VOICEPLANE_JWT_SECRET must be 32 bytes or more.\n"),
        ({"JWT_JWKS": "keys.json"}, ["token", "--sub", "a", "--role", "user"], "tokens are signed elsewhere"),
        ({}, ["token", "--sub", "a b", "--role", "user"], "voiceplane: A user id is 1 to 128 printable characters"),
        ({"WORKER_BIN": "/nonexistent/worker"}, ["worker", "path"], "/nonexistent/worker"),
        ({"WORKER_BIN": "/nonexistent/worker"}, ["worker", "check"], "/nonexistent/worker"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(
    variables: dict[str, str],
    argv: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in ({"JWT_SECRET": SECRET} | variables).items():
        monkeypatch.setenv(f"VOICEPLANE_{name}", value)
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1
    assert err.endswith(".\n")


COMMANDS = [
    *([], ["serve"], ["token"], ["worker"], ["worker", "build"], ["worker", "path"], ["worker", "check"]),
    *(["db"], ["db", "upgrade"], ["db", "backup"], ["call"], ["doctor"], ["loadtest"]),
]


@pytest.mark.parametrize(
    "argv",
    [
        *(["nonsense"], ["token"], ["token", "--sub", "a", "--role", "root"], ["worker", "nonsense"], ["call"]),
        ["token", "--sub", "a", "--role", "user", "--ttl", "1w"],
        ["call", "--base", "127.0.0.1:8080"],
        ["call", "--base", "http://127.0.0.1:8080", "--seconds", "0"],
        ["serve", "now"],
    ],
)
def test_wrong_arguments_exit_with_2_and_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: voiceplane")
    assert "\nError: " in err


@pytest.mark.parametrize("argv", [[], ["worker"], ["db"]])
def test_a_group_alone_shows_its_help_and_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "\nCommands:\n" in capsys.readouterr().err


@pytest.mark.parametrize("argv", COMMANDS)
def test_every_command_explains_itself_and_gives_examples(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["Usage: voiceplane", *argv]))
    _, _, examples = shown.partition("\nExamples:\n")
    assert " ".join(["  voiceplane", *argv]) in examples


def test_these_are_all_commands() -> None:
    def below(command: click.Command, path: list[str]) -> Iterator[list[str]]:
        yield path
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, [*path, name])

    assert sorted(below(cli, [])) == sorted(COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"voiceplane {metadata.version('voiceplane')}\n"


@pytest.mark.parametrize("argv", [["--help"], ["call", "--help"], ["worker", "build", "--help"]])
def test_help_needs_neither_http_nor_the_media_libraries_nor_the_worker(argv: list[str]) -> None:
    script = "import sys; from voiceplane.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "voiceplane.cli.call" in loaded
    assert not {"pymediasoup", "av", "numpy", "aiohttp", "sqlalchemy", "rich", "worker_bridge"} & loaded


def test_a_reader_that_leaves_early_is_no_failure_to_tell() -> None:
    command = [sys.executable, "-m", "voiceplane", "serve", "--help"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


def test_python_m_voiceplane_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voiceplane", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: voiceplane")
