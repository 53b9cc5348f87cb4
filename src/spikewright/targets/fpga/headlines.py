"""Shows where a tool is, by the headlines of its log."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

Report = Callable[[str], object]
"""Called with a line about where a tool is."""
BETWEEN, HEARTBEAT = 2.0, 10.0
"""Seconds between two headlines, and without news until the last comes again."""


class Headlines:
    """Headlines of a log that grows.

    Args:
        tool: its name.
        log: what it says.
        pattern: of lines whose first group is worth showing.
        report: called with a headline, and with the last one again when nothing is new.
    """

    def __init__(self, tool: str, log: Path, pattern: re.Pattern[str], report: Report) -> None:
        self.tool, self.log, self.pattern, self.report = tool, log, pattern, report
        self.read, self.part, self.last, self.shown = 0, "", "", -BETWEEN
        self.new = False

    def look(self, seconds: float) -> None:
        """Show what is new since the last look, or after a while the last line again."""
        for line in self._lines():
            if found := self.pattern.match(line):
                self.last, self.new = found.group(1), True
        wait = BETWEEN if self.new else HEARTBEAT
        if self.last and seconds - self.shown >= wait:
            self.new, self.shown = False, seconds
            self.report(f"{self.tool}, {seconds:.0f} s: {self.last}")

    def _lines(self) -> list[str]:
        with open(self.log, "rb") as file:
            file.seek(self.read)
            new = file.read()
        self.read += len(new)
        *whole, self.part = (self.part + new.decode(errors="replace")).split("\n")
        return whole
