"""Outside tools: what they say is kept, and nothing of them outlives the call or this process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spikewright.errors import ProgramError
from spikewright.targets.fpga.run_tool import ask_tool, run_tool

# Imports once, then becomes one caller for each folder.
CALLERS = """
import os, sys
from pathlib import Path
from spikewright.targets.fpga.run_tool import run_tool
script, *folders = sys.argv[1:]
for folder in map(Path, folders):
    if not os.fork():
        run_tool(["sh", "-c", script], folder, folder / "log")
    print("forked", flush=True)
for _ in folders:
    print(*os.wait(), flush=True)
"""
# A tool with a child; it ignores what can be ignored.
STUBBORN = "trap '' TERM INT HUP; sleep 60 & echo $$ $! > pids.new; mv pids.new pids; wait; wait"


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def appears(path: Path) -> None:
    until(path.exists, f"{path} to appear")


def until(condition, what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and not only waits to be looked after."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tool_ends_with_the_process_that_runs_it_however_that_ends(tmp_path):
    folders = [tmp_path / "terminated", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    command = [sys.executable, "-c", CALLERS, f"echo $PPID > caller; {STUBBORN}"]
    with subprocess.Popen([*command, *map(str, folders)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert [process.stdout.readline() for _ in folders] == [b"forked\n"] * 2
        for folder, number in zip(folders, (signal.SIGTERM, signal.SIGKILL), strict=True):
            appears(folder / "pids")
            caller, tools = int((folder / "caller").read_text()), pids(folder)
            assert all(map(runs, tools))
            os.kill(caller, number)
            # No handler of ours came between.
            assert process.stdout.readline() == f"{caller} {int(number)}\n".encode()
            until(lambda tools=tools: not any(map(runs, tools)), f"{tools} to end")


def test_no_signal_has_a_handler_of_ours(tmp_path):
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    during: list[object] = []

    def look(_: str) -> None:
        during.extend(signal.getsignal(number) for number in signal.valid_signals())

    run_tool(
        shell("echo now; sleep 0.3"),
        tmp_path,
        tmp_path / "log",
        headline=re.compile("(now)"),
        progress=look,
    )
    assert during == before


def test_a_tool_that_hangs_is_stopped_with_what_it_started_and_its_log_is_named(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(ProgramError, match=r"fpga: sh must end within 0\.5 s, got no end") as error:
        run_tool(shell(f"echo begun; {STUBBORN}"), tmp_path, log, patience=0.5)
    assert f"Its log is {log}; it ends with:\nbegun\n" in str(error.value)
    assert log.read_text() == "begun\n"
    until(lambda: not any(map(runs, pids(tmp_path))), "the tool to end")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, ValueError])
def test_any_exception_stops_the_tool_and_goes_on(tmp_path, stop):
    def interrupt(_: str) -> None:
        raise stop

    with pytest.raises(stop):
        run_tool(
            shell(f"echo now; {STUBBORN}"),
            tmp_path,
            tmp_path / "log",
            headline=re.compile("(now)"),
            progress=interrupt,
        )
    if (tmp_path / "pids").exists():
        until(lambda: not any(map(runs, pids(tmp_path))), "the tool to end")


def test_what_a_tool_that_ended_left_behind_is_stopped(tmp_path):
    run_tool(shell("sleep 60 & echo $! > pids"), tmp_path, tmp_path / "log")
    until(lambda: not any(map(runs, pids(tmp_path))), "the child to end")


def test_answers_and_complaints_are_apart_or_together():
    both = shell("echo one; echo two >&2; echo three")
    assert ask_tool(both, Path.cwd()) == "one\nthree\n"
    assert ask_tool(both, Path.cwd(), all_of_it=True) == "one\ntwo\nthree\n"


@pytest.mark.parametrize(("to", "name"), [("2", "log"), ("1", "answer")])
def test_what_a_tool_said_before_it_failed_is_kept(tmp_path, monkeypatch, to, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ProgramError, match="sh must succeed, got exit status 3") as error:
        ask_tool(shell(f"echo no such thing >&{to}; exit 3"), Path.cwd())
    (kept,) = tmp_path.glob(f"*/{name}")
    assert kept.read_text() == "no such thing\n"
    assert f"Its log is {kept}; it ends with:\nno such thing\n" in str(error.value)
    assert ask_tool(shell("echo well"), Path.cwd()) == "well\n"
    assert len(list(tmp_path.iterdir())) == 1  # of what succeeds nothing is


def test_a_tool_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProgramError, match=r"no/such/tool must be a program that runs here"):
        run_tool(["no/such/tool"], tmp_path, tmp_path / "log")


def test_tools_in_several_threads_do_not_disturb_each_other(tmp_path):
    """One ends long before the other, and takes its own group with it only."""
    said: dict[int, str] = {}

    def ask(number: int) -> None:
        said[number] = ask_tool(shell(f"sleep 0.{number}; echo {number}"), tmp_path)

    threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {1: "1\n", 3: "3\n", 5: "5\n"}


def test_a_tool_reads_nothing_from_our_input_and_gets_no_files_of_ours(tmp_path):
    with open(tmp_path / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        said = ask_tool(
            shell(f"read -r word; echo got $word; ls /dev/fd/{file.fileno()}; true"), tmp_path
        )
    assert said == "got\n"
