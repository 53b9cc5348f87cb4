"""Runs the tools that others wrote: how long they may take, where their words go, how they end."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spikewright.errors import ProgramError
from spikewright.targets.fpga.headlines import Headlines, Report
from spikewright.targets.fpga.process_group import started

PATIENCE = 600.0
"""Seconds after which a tool counts as hung."""
POLL = 0.1
"""Seconds between two looks at its log."""
ENDING = 1500
"""Letters of a log that an error shows."""


def run_tool(
    command: Sequence[str],
    folder: Path,
    log: Path,
    *,
    answer: Path | None = None,
    patience: float = PATIENCE,
    headline: re.Pattern[str] | None = None,
    progress: Report | None = None,
) -> float:
    """Run a tool in a folder; seconds it took.

    Whatever ends this call, or this process, the tool and all that it started are gone afterwards.

    Args:
        log: file for all that it says; written from its beginning.
        answer: file for its standard output, where that is to be read apart from complaints.
        patience: seconds after which it counts as hung.
        headline: lines of the log whose first group is worth showing.
        progress: called with a headline, and with the last one again when nothing is new.

    Raises:
        ProgramError: it could not be started, failed, or did not end; names the log.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = Path(folder) / "log"
    ...     seconds = run_tool(["sh", "-c", "echo well"], Path(folder), log)
    ...     log.read_text()
    'well\\n'
    """
    begun, files = time.monotonic(), (log, answer)
    look = None
    if headline is not None and progress is not None:
        look = Headlines(Path(command[0]).name, log, headline, progress).look
    with _started(command, folder, log, answer) as tool:
        if not _ended(tool, patience, look):
            raise _failed(command, files, f"end within {patience:g} s", "no end")
    seconds = time.monotonic() - begun
    if look is not None:
        look(seconds)
    if tool.returncode:
        raise _failed(command, files, "succeed", f"exit status {tool.returncode}")
    return seconds


def ask_tool(command: Sequence[str], folder: Path, *, all_of_it: bool = False) -> str:
    """What a tool answers on its standard output.

    Args:
        all_of_it: whether what it complains of is part of the answer.

    Raises:
        ProgramError: see `run_tool`; the log is kept.

    >>> ask_tool(["sh", "-c", "echo well; echo but >&2"], Path.cwd())
    'well\\n'
    """
    place = Path(tempfile.mkdtemp(prefix="spikewright-tool-"))
    log, answer = place / "log", None if all_of_it else place / "answer"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place)
        try:
            run_tool(command, folder, log, answer=answer)
        except ProgramError:
            stack.pop_all()
            raise
        return (answer or log).read_text(errors="replace")


@contextmanager
def _started(
    command: Sequence[str], folder: Path, log: Path, answer: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    with ExitStack() as stack:
        complaints = stack.enter_context(open(log, "wb"))
        said = stack.enter_context(open(answer, "wb")) if answer else complaints
        try:
            tool = stack.enter_context(started(command, folder, said, complaints))
        except OSError as cause:
            raise ProgramError(
                f"fpga: {command[0]} must be a program that runs here, got {cause}. "
                "Install it again."
            ) from cause
        yield tool


def _ended(
    tool: subprocess.Popen[bytes], patience: float, look: Callable[[float], None] | None
) -> bool:
    """Whether it ended before patience did."""
    begun = time.monotonic()
    while (seconds := time.monotonic() - begun) < patience:
        if look is not None:
            look(seconds)
        with suppress(subprocess.TimeoutExpired):
            tool.wait(min(POLL, patience - seconds))
            return True
    return False


def _failed(
    command: Sequence[str], files: tuple[Path, Path | None], must: str, got: str
) -> ProgramError:
    log, answer = files
    if answer and answer.exists() and not log.stat().st_size:
        log = answer  # some simulators complain there
    ending = log.read_text(errors="replace")[-ENDING:].strip()
    return ProgramError(
        f"fpga: {Path(command[0]).name} must {must}, got {got}. Its log is {log}; it ends with:\n"
        f"{ending}\nTry a smaller network or accelerator (units, linear), another device or more "
        "patience, or report this one."
    )
