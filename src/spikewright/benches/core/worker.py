"""The other end of `Contender`: one framework in a process of its own.

It reads a request a line on standard input and answers each with a line of JSON:

- ``{"load": task, "variant": name}``: make network and data;
- ``{"run": true}``: the seconds of one run, after one that is not timed;
- ``{"facts": true}``: version and firing rates;
- ``{"memory": runs}``: by how many bytes the resident memory grows at most during the runs.

Whatever the framework prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from spikewright.benches.core.task import NotOffered, Task, Work
from spikewright.benches.core.timing import no_collection, seconds
from spikewright.errors import MissingDependency

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEMORY_VARIABLE = "SPIKEWRIGHT_BENCH_MEMORY"
"""Environment variable: bytes that a framework may take; by default half of what is free."""
MEMINFO = Path("/proc/meminfo")
INTERVAL = 0.05
"""Seconds between two looks at a worker's memory."""
EXPECTED = (NotOffered, MissingDependency)


def main(module: str) -> None:
    """Answer requests until standard input ends; ``module`` has ``prepare(task, variant)``."""
    answers = _claim_stdout()
    server = _Server(module)
    for line in sys.stdin:
        try:
            answer = server.answer(json.loads(line))
        except Exception as cause:
            if not isinstance(cause, EXPECTED):
                traceback.print_exc()
            answer = {"error": _reason(cause)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _Server:
    def __init__(self, module: str) -> None:
        self.module = module
        self.work: Work | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "load" in request:
            self.work = None
            prepare: Any = importlib.import_module(self.module).prepare
            self.work = prepare(Task.from_json(request["load"]), request["variant"])
            return {}
        assert self.work is not None, "load comes first"
        if "run" in request:
            self.work.run()
            with no_collection():
                return {"seconds": seconds(self.work.run)}
        if "memory" in request:
            return {"bytes": _growth(self.work.run, request["memory"])}
        return {"version": self.work.version, "rates": self.work.rates()}


def _growth(run: Callable[[], object], times: int) -> int:
    """By how much the peak of the resident memory passes what is resident now, bytes."""
    most = int(os.environ.get(MEMORY_VARIABLE, _available() // 2))
    threading.Thread(target=_guard, args=(most,), daemon=True).start()
    before = _status("VmRSS")
    CLEAR.write_text("5", encoding="ascii")  # forgets the peak so far
    for _ in range(times):
        run()
    return _status("VmHWM") - before


def resident() -> int:
    """Memory of this process that is resident now, bytes."""
    return _status("VmRSS")


def _guard(most: int) -> None:
    """End the process before it takes memory that others need."""
    while _status("VmRSS") < most:
        time.sleep(INTERVAL)
    sys.stderr.write(f"took more than {most / 1e9:.3g} GB\n")
    sys.stderr.flush()
    os._exit(1)


def _available() -> int:
    lines = MEMINFO.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024


def _status(field: str) -> int:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise NotOffered(f"memory is read from {STATUS}, which has no {field} here")


def _claim_stdout() -> IO[str]:
    """A stream to the real standard output, which everything else loses."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _reason(cause: Exception) -> str:
    """One line; what a user can act on first."""
    if isinstance(cause, MissingDependency) and isinstance(cause.__cause__, ImportError):
        return f"not installed ({cause.__cause__})"
    text = str(cause).strip().partition("\n")[0]
    return text if isinstance(cause, NotOffered) else f"failed: {type(cause).__name__}: {text}"
