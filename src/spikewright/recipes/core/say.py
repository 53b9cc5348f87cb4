"""Telling the user what long work does next."""

from __future__ import annotations

import sys
from collections.abc import Callable

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing."""


def aloud(line: str) -> None:
    """Say it on standard error."""
    sys.stderr.write(f"{line}\n")
