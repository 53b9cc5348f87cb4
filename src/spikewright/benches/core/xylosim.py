"""xylosim, the vendor's simulator, in a process of its own, so that it needs no other package."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from spikewright.benches.core.contender import PYTHON_VARIABLE, Failed
from spikewright.errors import ParameterError
from spikewright.targets.xylo.configuration import Configuration, Whole

VARIABLE = f"{PYTHON_VARIABLE}_XYLOSIM"
"""Environment variable: the interpreter that has xylosim, if not that of all peers."""
WORKER = Path(__file__).with_name("xylosim_worker.py")


def interpreter() -> str | None:
    """The interpreter that has xylosim; ``None`` if none is named or it has not.

    Raises:
        ParameterError: the one that is named cannot be started.
    """
    python = os.environ.get(VARIABLE, os.environ.get(PYTHON_VARIABLE))
    if not python:
        return None
    try:
        found = subprocess.run([python, "-c", "import xylosim"], capture_output=True, check=False)
    except OSError as cause:
        raise ParameterError(
            f"bench: {VARIABLE} or {PYTHON_VARIABLE} must name a Python interpreter, got "
            f"{python!r}: {cause.strerror}. Name one that has xylosim, or leave both out."
        ) from cause
    return None if found.returncode else python


class Xylosim:
    """A configuration and clips, loaded into the simulator; a context manager.

    Args:
        python: see `interpreter`.
        configuration: what is loaded.
        x: events, (time, batch, inputs).

    Raises:
        Failed: the simulator does not answer.
    """

    def __init__(self, python: str, configuration: Configuration, x: Whole) -> None:
        self._folder = tempfile.TemporaryDirectory()
        given = self._path("given")
        np.savez(given, **arrays(configuration, x))
        self._process = subprocess.Popen(
            [python, "-P", str(WORKER), given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def seconds(self) -> float:
        """How long all clips take, one after the other."""
        return float(self._ask({"run": True})["seconds"])

    def states(self) -> dict[str, Whole]:
        """Spikes and states of all clips, (time, batch, ...), by the names of `plain.Run`."""
        self._ask({"save": self._path("found")})
        with np.load(self._path("found")) as found:
            return {name: found[name].astype(np.int64) for name in found.files}

    def _path(self, name: str) -> str:
        return str(Path(self._folder.name) / f"{name}.npz")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise Failed(f"xylosim died with exit code {self._process.wait()}")
        return json.loads(line)


def arrays(c: Configuration, x: Whole) -> dict[str, Any]:
    """A configuration and clips as the worker reads them."""
    return {
        "core": c.kind.core,
        "dt": c.dt,
        "x": x,
        "weights_in": c.weights_in,
        "weights_rec": c.weights_rec,
        "weights_out": c.weights_out,
        "shifts": np.array(c.shifts),
        "alias": c.alias,
        "threshold": c.hidden.threshold,
        "dash_mem": c.hidden.dash_mem,
        "dash_syn": c.hidden.dash_syn,
        "bias": c.hidden.bias,
        "threshold_out": c.out.threshold,
        "dash_mem_out": c.out.dash_mem,
        "dash_syn_out": c.out.dash_syn,
        "bias_out": c.out.bias,
    }
