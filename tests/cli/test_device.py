"""A device is served, looked at, and stopped from the command line."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spikewright.errors import SettingsError
from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.twin import Twin

Call = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(start: Start) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start a server; gives its process and what it printed up to how to stop it."""
    running: list[subprocess.Popen[str]] = []

    def serve(*words: object) -> tuple[subprocess.Popen[str], str]:
        process = start("device", "serve", "brainscales2", "--port", "0", *words)
        running.append(process)
        assert process.stdout is not None
        said = ""
        while "to stop" not in said:
            line = process.stdout.readline()
            assert line, process.communicate()
            said += line
        return process, said

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def url_in(said: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found
    return found[0]


def test_a_twin_is_served_with_a_token_in_a_file_until_it_is_interrupted(
    serve: Callable[..., tuple[subprocess.Popen[str], str]], call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "keys" / "token"
    process, said = serve("--token-file", path, "--chip-seed", 5, "--mismatch", 0.2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in said
    with RemoteChip(url_in(said), path) as remote:
        assert remote.identity() == Twin(seed=5, mismatch=0.2).identity()
    done = call("device", "status", url_in(said), "--token-file", path)
    assert done.exit_code == 0
    assert "seed 5" in done.stdout
    assert re.search(r"running +nothing", done.stdout)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "stopped: the device has ended after 0 runs.\n"


def test_a_token_that_is_made_is_printed_and_sigterm_ends_well(
    serve: Callable[..., tuple[subprocess.Popen[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPIKEWRIGHT_DEVICE_TOKEN", raising=False)
    process, said = serve("--host", "0.0.0.0")
    token = re.search(r"token +(\S+)", said)
    port = re.search(r"http://0\.0\.0\.0:(\d+)", said)
    assert token
    assert port
    with RemoteChip(f"http://127.0.0.1:{port[1]}", token[1]) as remote:
        assert remote.identity()["twin"] is True
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert "warning: device.serve: http://0.0.0.0" in errors
    assert "plain HTTP" in errors
    assert "stopped: the device has ended" in errors


def test_a_target_without_a_twin_to_serve_is_named(call: Call) -> None:
    done = call("device", "serve", "brainscale2")
    assert done.exit_code == 2
    assert "got 'brainscale2'. Did you mean 'brainscales2'?" in done.stderr
    assert isinstance(call("--debug", "device", "serve", "x").exception, SettingsError)


def test_a_device_that_is_not_there_is_named(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("token-of-the-tests\n")
    done = call("device", "status", "http://127.0.0.1:9", "--token-file", path)
    assert done.exit_code == 1
    assert "http://127.0.0.1:9 must answer" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold a token, got none"),
        ("anna one two\n", "must be a token or a new user and a token, got 3 words"),
        ("short\n", "a token must be 16 to 512"),
        ("anna token-of-anna-16\nanna token-of-anna-17\n", "a new user and a token"),
    ],
)
def test_a_token_file_that_is_none_is_refused(
    text: str, said: str, call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    done = call("device", "serve", "brainscales2", "--port", "0", "--token-file", path)
    assert done.exit_code == 2
    assert said in done.stderr
