"""A framework in a process of its own, so that licences, thread pools and crashes stay apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spikewright
from spikewright.benches.core.task import Task
from spikewright.errors import SpikewrightError
from spikewright.openmp import SPIN_COUNT, SPIN_VARIABLE

PYTHON_VARIABLE = "SPIKEWRIGHT_BENCH_PYTHON"
"""Environment variable: the interpreter that has the other frameworks, if not this one; with
``_NAME`` behind it (``_BRIAN2``) that of one framework."""
PATIENCE = 300.0

# The module named first is imported first: with PyTorch there, this package leaves its settings
# alone. Our folder comes last, so that another interpreter's own packages win.
_PROGRAM = """
import sys
sys.path.append({folder!r})
import {first}
from spikewright.benches.core.worker import main
main({module!r})
"""


class Failed(SpikewrightError):
    """A framework could not do a task; the text is the reason, one line."""


class Contender:
    """A module with ``prepare(task, variant) -> Work``, run by a worker process.

    The process starts at the first request, and anew after it died.

    Args:
        module: dotted name.
        variant: which of the ways the module offers.
        first: what a user of the framework imports first.
        variables: environment variables on top of this process's.
        patience: seconds after which an answer is given up.
    """

    def __init__(
        self,
        module: str,
        variant: str = "",
        *,
        first: str = "torch",
        variables: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.module, self.variant, self.first = module, variant, first
        self.variables, self.patience = dict(variables or {}), patience
        self._process: subprocess.Popen[str] | None = None
        self._errors: Any = None

    def load(self, task: Task) -> None:
        """Make network and data."""
        self._ask({"load": task.to_json(), "variant": self.variant})

    def seconds(self) -> float:
        """Time one run, after one that is not timed."""
        return float(self._ask({"run": True})["seconds"])

    def facts(self) -> tuple[str, list[float]]:
        """Version and firing rates."""
        answer = self._ask({"facts": True})
        return answer["version"], answer["rates"]

    def growth(self, runs: int) -> int:
        """Largest growth of the resident memory during some runs, bytes."""
        return int(self._ask({"memory": runs})["bytes"])

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.communicate()
        self._errors.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(self.patience, process.kill)
        late.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            waiting = late.is_alive()
            late.cancel()
        if not line:
            raise Failed(self._last_words() if waiting else f"no answer in {self.patience:g} s")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        folder = str(Path(spikewright.__file__).parents[1])
        program = _PROGRAM.format(folder=folder, first=self.first, module=self.module)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - see close
        python = _python(self.first, self.module)
        try:
            self._process = subprocess.Popen(
                [python, "-P", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env={**_environment(), **self.variables},
            )
        except OSError as cause:
            self._errors.close()
            raise Failed(f"cannot start {python}: {cause.strerror}") from cause
        return self._process

    def _last_words(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        self.close()
        return f"died with exit code {code}" + (f": {lines[-1]}" if lines else "")


def _python(first: str, module: str) -> str:
    if first == "spikewright":
        return sys.executable
    of_all = os.environ.get(PYTHON_VARIABLE, sys.executable)
    return os.environ.get(f"{PYTHON_VARIABLE}_{module.rpartition('.')[2].upper()}", of_all)


def _environment() -> dict[str, str]:
    """That of this process without what importing this package set in it."""
    variables = dict(os.environ)
    if variables.get(SPIN_VARIABLE) == SPIN_COUNT:
        del variables[SPIN_VARIABLE]
    return variables
