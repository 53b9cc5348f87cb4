"""Frameworks for the harness to run: one that is slow, one that is missing, one that dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from spikewright.benches.core.task import NotOffered, Task, Work
from spikewright.optional import require

KIND = "peer"
NAP = 0.02
NOBODY_HAS = "a_framework_that_nobody_has"


def prepare(task: Task, variant: str) -> Work:
    """What ``variant`` names; the version of one in capitals is that environment variable."""
    if variant == "missing":
        require(NOBODY_HAS, extra="bench")
    if variant == "not offered":
        raise NotOffered("has no such neuron")
    if variant == "broken":
        raise ValueError("two shapes\nand more lines")
    if variant.isupper():
        return Work(_quick, list, os.environ.get(variant, "not set"))
    print("frameworks print to standard output")
    return Work(RUNS[variant], lambda: [0.25, 0.5], "1.2")


def _quick() -> None:
    pass


def _slow() -> None:
    time.sleep(NAP)


def _dies() -> None:
    sys.stderr.write("out of luck\n")
    sys.stderr.flush()
    os._exit(7)


def _hangs() -> None:
    time.sleep(60)


def _grows() -> None:
    held.append(b"x" * 30_000_000)
    held.pop()


def _swells() -> None:
    for _ in range(100):
        held.append(b"x" * 30_000_000)
        time.sleep(NAP)


held: list[bytes] = []
RUNS: dict[str, Callable[[], None]] = {
    "quick": _quick,
    "slow": _slow,
    "dies": _dies,
    "swells": _swells,
    "hangs": _hangs,
    "grows": _grows,
}
