"""Runs a tool that takes long: its words go to a file, headlines to who wants to see them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from spikewright.errors import ProgramError

Report = Callable[[str], object]
"""Called with a line about where a tool is."""
POLL, HEADLINES, HEARTBEAT = 0.1, 2.0, 10.0
"""Seconds between two looks, between two headlines, and without news until the last comes again."""
ENDING = 1500
"""Letters of a log that an error shows."""


def run_logged(
    command: Sequence[str],
    folder: Path,
    log: Path,
    *,
    patience: float,
    headline: re.Pattern[str] | None = None,
    progress: Report | None = None,
) -> float:
    """Run a tool in a folder; seconds it took.

    Whatever ends this call, the tool and all that it started are gone afterwards.

    Args:
        log: file for all that it says; written from its beginning.
        patience: seconds after which it counts as hung.
        headline: lines whose first group is worth showing.
        progress: called with a headline, and with the last one again when nothing is new.

    Raises:
        ProgramError: it failed, or did not end; names the log.
    """
    begun = time.monotonic()
    with open(log, "wb") as said, _started(command, folder, said) as tool:
        news = _News(command[0], log, headline, progress)
        while tool.poll() is None:
            seconds = time.monotonic() - begun
            if seconds > patience:
                raise _failed(command, log, f"end within {patience:g} s", "no end")
            news.look(seconds)
            time.sleep(POLL)
    seconds = time.monotonic() - begun
    news.look(seconds)
    if tool.returncode:
        raise _failed(command, log, "succeed", f"exit status {tool.returncode}")
    return seconds


@contextlib.contextmanager
def _started(
    command: Sequence[str], folder: Path, said: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    tool = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield tool
    finally:
        # The group outlives its first process where that left children behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()


class _News:
    """Headlines of a log that grows."""

    def __init__(
        self, tool: str, log: Path, headline: re.Pattern[str] | None, progress: Report | None
    ) -> None:
        self.tool, self.log, self.headline = Path(tool).name, log, headline
        self.progress = progress
        self.read, self.part, self.last, self.shown = 0, "", "", -HEADLINES
        self.new = False

    def look(self, seconds: float) -> None:
        """Show what is new since the last look, or after a while the last line again."""
        if self.progress is None:
            return
        for line in self._lines():
            if found := self._headline(line):
                self.last, self.new = found, True
        wait = HEADLINES if self.new else HEARTBEAT
        if self.last and seconds - self.shown >= wait:
            self.new, self.shown = False, seconds
            self.progress(f"{self.tool}, {seconds:.0f} s: {self.last}")

    def _lines(self) -> list[str]:
        with open(self.log, "rb") as file:
            file.seek(self.read)
            new = file.read()
        self.read += len(new)
        *whole, self.part = (self.part + new.decode(errors="replace")).split("\n")
        return whole

    def _headline(self, line: str) -> str:
        found = self.headline.match(line) if self.headline else None
        return found.group(1) if found else ""


def _failed(command: Sequence[str], log: Path, must: str, got: str) -> ProgramError:
    ending = log.read_text(errors="replace")[-ENDING:].strip()
    return ProgramError(
        f"fpga.synthesis: {Path(command[0]).name} must {must}, got {got}. Its log is {log}; "
        f"it ends with:\n{ending}\nTry a smaller accelerator (units, linear), another device, or "
        "more patience."
    )
