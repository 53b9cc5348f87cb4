"""Runs a program on its SystemVerilog, built by Verilator and kept for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from spikewright.errors import MissingDependency, ProgramError
from spikewright.files import cache_root
from spikewright.targets.fpga.dimensions import Dimensions, package_text
from spikewright.targets.fpga.emit import images, sources
from spikewright.targets.fpga.interpreter import Outcome, checked
from spikewright.targets.fpga.memory import Whole, image
from spikewright.targets.fpga.program import Program

TESTBENCH = Path(__file__).parent / "bench" / "testbench.cpp"
PATIENCE = 600
"""Seconds after which a tool counts as hung."""


@dataclass(frozen=True)
class Traffic:
    """How a simulation's streams behave.

    Args:
        gap: percent of the clocks in which a stream offers or takes nothing.
        seed: of the gaps.
        reset_at: clocks of the first sample's run after which all is reset; 0 is never.
    """

    gap: int = 0
    seed: int = 1
    reset_at: int = 0


def available() -> bool:
    """Whether Verilator and what it needs are installed."""
    return all(shutil.which(tool) for tool in ("verilator", "make", "g++"))


def simulate(program: Program, q: Whole, traffic: Traffic | None = None) -> Outcome:
    """What the SystemVerilog answers to inputs (batch, *program.inputs).

    Raises:
        ShapeError: another shape.
        MissingDependency: no Verilator.
        ProgramError: the simulation failed; the message ends with what it said.
    """
    numbers = checked(program, q)
    simulator = build(program.dimensions)
    with tempfile.TemporaryDirectory(prefix="spikewright-rtl-") as folder:
        place = Path(folder)
        for name, text in images(program).items():
            (place / name).write_text(text)
        (place / "commands").write_text(_commands(program, numbers, traffic or Traffic()))
        said = run_tool([str(simulator), "commands"], place)
    found = np.array([[int(n) for n in line.split()] for line in said.splitlines()], np.int64)
    cycles, stalls, saturated = found[:, :3].T
    results = found[:, 3:].reshape(len(q), *program.outputs)
    busy = np.unique(cycles - stalls)
    if len(busy) != 1:
        raise ProgramError(
            f"fpga.verilator: every sample must take as many clocks, got {busy.tolist()}. "
            "Please report this network."
        )
    return Outcome(results, int(busy[0]), saturated, stalls)


def lint(dimensions: Dimensions) -> str:
    """What ``verilator --lint-only -Wall`` says; nothing if all is well."""
    _need_verilator()
    with tempfile.TemporaryDirectory(prefix="spikewright-lint-") as folder:
        command = ["verilator", "--lint-only", "-Wall", *_arguments(dimensions, Path(folder))]
        _, said, complaint = _run(command, Path(folder))
        return said + complaint


def build(dimensions: Dimensions) -> Path:
    """The simulator for an accelerator of these dimensions; made if it is not in the cache."""
    _need_verilator()
    digest = hashlib.sha256(package_text(dimensions).encode())
    for path in (*sources(), TESTBENCH):
        digest.update(path.read_bytes())
    kept = cache_root() / "rtl" / digest.hexdigest()[:24]
    simulator = kept / "Vaccelerator"
    with FileLock(f"{kept}.lock"):
        if not simulator.exists():
            _build(dimensions, kept)
    return simulator


def run_tool(command: Sequence[str], folder: Path) -> str:
    """What a tool prints.

    Raises:
        ProgramError: it failed or took too long.
    """
    code, said, complaint = _run(command, folder)
    if code:
        raise ProgramError(
            f"fpga: {command[0]} must succeed, got {code}: "
            f"{(complaint or said)[-2000:]}. Please report this network."
        )
    return said


def _run(command: Sequence[str], folder: Path) -> tuple[int, str, str]:
    """Exit status and what was said; a tool that hangs is stopped with all that it started."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as tool:
        try:
            said, complaint = tool.communicate(timeout=PATIENCE)
        except BaseException as cause:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tool.pid, signal.SIGKILL)
            if not isinstance(cause, subprocess.TimeoutExpired):
                raise
            raise ProgramError(
                f"fpga: {command[0]} must end within {PATIENCE} s, got no end. "
                "Try a smaller network."
            ) from cause
    return tool.returncode, said, complaint


def _build(dimensions: Dimensions, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=kept.parent) as folder:
        place = Path(folder)
        made = ["--Mdir", str(place), "-CFLAGS", "-O1", "-o", "Vaccelerator"]
        flags = ["--cc", "--exe", "--build", "-O3", "--x-assign", "unique", *made]
        arguments = _arguments(dimensions, place)
        run_tool(["verilator", *flags, *arguments, str(TESTBENCH)], place)
        kept.mkdir(exist_ok=True)
        (place / "Vaccelerator").replace(kept / "Vaccelerator")


def _arguments(dimensions: Dimensions, folder: Path) -> list[str]:
    package = folder / "network_pkg.sv"
    package.write_text(package_text(dimensions))
    return ["--top-module", "accelerator", str(package), *map(str, sources())]


def _need_verilator() -> None:
    if not available():
        raise MissingDependency(
            "fpga.verilator: Verilator, make and g++ must be installed, got at least one missing. "
            "Install them: apt install verilator make g++."
        )


def _commands(program: Program, numbers: Whole, traffic: Traffic) -> str:
    d = program.dimensions
    kernels = _streamed(program.kernels, d.weight) if d.stream_kernels else []
    weights = _streamed(program.weights, d.weight) if d.stream_weights else []
    results = int(np.prod(program.outputs))
    sizes = [*numbers.shape, results, len(kernels), len(weights)]
    head = [*sizes, traffic.gap, traffic.seed, traffic.reset_at]
    inputs = [f"{number:02x}" for number in numbers.ravel().tolist()]
    return "\n".join([" ".join(map(str, head)), *inputs, *kernels, *weights]) + "\n"


def _streamed(words: Whole, bits: int) -> list[str]:
    """Words as bytes, the lowest first."""
    each = words.shape[1]
    lines = [int(text, 16) for text in image(words, bits, 0).split()]
    return [word.to_bytes(-(-bits * each // 8), "little").hex() for word in lines]
