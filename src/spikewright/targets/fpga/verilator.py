"""Runs a program on its SystemVerilog, built by Verilator and kept for the next time."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from spikewright.errors import MissingDependency, ProgramError
from spikewright.files import cache_root
from spikewright.targets.fpga.dimensions import Dimensions, package_text
from spikewright.targets.fpga.emit import images, sources
from spikewright.targets.fpga.interpreter import Outcome, checked
from spikewright.targets.fpga.memory import Whole, image
from spikewright.targets.fpga.program import Program
from spikewright.targets.fpga.run_tool import ask_tool, run_tool

TESTBENCH = Path(__file__).parent / "bench" / "testbench.cpp"
HEADER = TESTBENCH.with_name("axi_lite.h")
# Of the library only what runs in every clock is worth the compiler's time.
COMPILED = ("--cc", "--exe", "--build", "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0")
FLAGS = (
    *COMPILED,
    *("-O3", "--x-assign", "unique", "--x-initial", "unique"),  # open to random values: Traffic
)
BUILDING = ".building"
LIBRARY = "verilated*.o"
"""Objects of Verilator's own sources, more than half of the compiler's work for a small design."""


@dataclass(frozen=True)
class Traffic:
    """How a simulation's streams behave.

    Args:
        gap: percent of the clocks in which a stream offers or takes nothing.
        seed: of the gaps.
        reset_at: clocks of the first sample's run after which all is reset; 0 is never.
        initial: seed of what registers and memories hold when the power comes on; 0 fills them
            with 0.
    """

    gap: int = 0
    seed: int = 1
    reset_at: int = 0
    initial: int = 0


def available() -> bool:
    """Whether Verilator and what it needs are installed."""
    return all(shutil.which(tool) for tool in ("verilator", "make", "g++"))


def version() -> str:
    """Of Verilator, such as "5.006".

    Raises:
        MissingDependency: it is not installed.
    """
    need_verilator()
    return _versions()[0].split()[1]


def need_verilator() -> None:
    """Look for Verilator and what it needs.

    Raises:
        MissingDependency: one of them is not installed.
    """
    if not available():
        raise MissingDependency(
            "fpga.verilator: Verilator, make and g++ must be installed, got at least one missing. "
            "Install them: apt install verilator make g++. The network itself, run(), needs none."
        )


def simulate(program: Program, q: Whole, traffic: Traffic | None = None) -> Outcome:
    """What the SystemVerilog answers to inputs (batch, *program.inputs).

    Raises:
        ShapeError: another shape.
        MissingDependency: no Verilator.
        ProgramError: the simulation failed; the message ends with what it said.
    """
    said = simulated(program, q, traffic)
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


def simulated(
    program: Program, q: Whole, traffic: Traffic | None = None, watchers: Sequence[Path] = ()
) -> str:
    """What a simulation prints: of each sample cycles, stalls, saturated activations, results.

    Args:
        watchers: more SystemVerilog that is bound to the modules.

    Raises:
        See `simulate`.
    """
    numbers, traffic = checked(program, q), traffic or Traffic()
    simulator = build(program.dimensions, watchers)
    with tempfile.TemporaryDirectory(prefix="spikewright-rtl-") as folder:
        place = Path(folder)
        for name, text in images(program).items():
            (place / name).write_text(text)
        (place / "commands").write_text(_commands(program, numbers, traffic))
        return ask_tool([str(simulator), "commands", *_power_on(traffic.initial)], place)


def lint(dimensions: Dimensions) -> str:
    """What ``verilator --lint-only -Wall`` says; nothing if all is well.

    Raises:
        MissingDependency: no Verilator.
        ProgramError: it found something; the message ends with it.
    """
    return lint_report(lambda folder: _arguments(dimensions, folder))


def lint_report(arguments: Callable[[Path], Sequence[str]]) -> str:
    """See `lint`.

    Args:
        arguments: see `kept_simulator`.
    """
    need_verilator()
    with tempfile.TemporaryDirectory(prefix="spikewright-lint-") as folder:
        command = ["verilator", "--lint-only", "-Wall", *arguments(Path(folder))]
        return ask_tool(command, Path(folder), all_of_it=True)


def build(dimensions: Dimensions, watchers: Sequence[Path] = ()) -> Path:
    """The simulator for an accelerator of these dimensions; made if it is not in the cache.

    Args:
        watchers: see `simulated`.
    """
    given = [package_text(dimensions).encode()]
    given += [path.read_bytes() for path in (*sources(), *watchers, TESTBENCH, HEADER)]

    def arguments(folder: Path) -> list[str]:
        return [*_arguments(dimensions, folder), *map(str, watchers), str(TESTBENCH)]

    return kept_simulator("Vaccelerator", FLAGS, given, arguments)


def kept_simulator(
    name: str,
    flags: Sequence[str],
    given: Iterable[bytes],
    arguments: Callable[[Path], Sequence[str]],
) -> Path:
    """A simulator from the cache; made there, by one process, if it is not in it.

    Args:
        name: of the program.
        flags: of Verilator.
        given: all that it is made of; with the tools' versions and the machine, its key.
        arguments: sources and top module; may write some of them into the folder it is given.

    Raises:
        MissingDependency: no Verilator.
        ProgramError: it could not be built; nothing is left of it but its log.
    """
    need_verilator()
    made_by = (tuple(flags), _versions(), platform.system(), platform.machine())
    kept = _in_cache(repr((name, made_by)).encode(), *given)
    with FileLock(f"{kept}.lock"):
        if not (kept / name).exists():
            _sweep(kept)
            _build(kept, _in_cache(repr(made_by).encode()), [*flags, "-o", name], arguments)
    return kept / name


def _in_cache(*key: bytes) -> Path:
    digest = hashlib.sha256()
    for content in key:
        digest.update(content)
    return cache_root() / "rtl" / digest.hexdigest()[:24]


def _build(
    kept: Path, library: Path, flags: Sequence[str], arguments: Callable[[Path], Sequence[str]]
) -> None:
    """Build the program that the last flag names; its library is looked for, and left, in one."""
    place = kept.with_suffix(BUILDING)
    place.mkdir()
    try:
        made = [Path(shutil.copy(part, place)).name for part in sorted(library.glob(LIBRARY))]
        # make would compile them again, for the design's own header is newer.
        left = [word for name in made for word in ("-MAKEFLAGS", f"--old-file={name}")]
        command = ["verilator", *left, *flags, "--Mdir", str(place), *arguments(place)]
        run_tool(command, place, kept.with_suffix(".log"))
        kept.mkdir(exist_ok=True)
        (place / flags[-1]).replace(kept / flags[-1])
        _keep_library(place, library)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _keep_library(place: Path, library: Path) -> None:
    """Move the library's objects out of a build, unless it is kept already."""
    with FileLock(f"{library}.lock"):
        if library.exists():
            return
        partial = library.with_suffix(BUILDING)
        partial.mkdir(exist_ok=True)  # a killed process may have left it
        for part in place.glob(LIBRARY):
            part.replace(partial / part.name)
        partial.replace(library)


def _sweep(kept: Path) -> None:
    """Remove what killed builds left: folders whose locks nobody holds, and our own."""
    for left in kept.parent.glob(f"*{BUILDING}"):
        if left.stem == kept.name:
            shutil.rmtree(left)
            continue
        with contextlib.suppress(Timeout), FileLock(f"{left.with_suffix('')}.lock", timeout=0):
            shutil.rmtree(left, ignore_errors=True)


@functools.cache
def _versions() -> tuple[str, ...]:
    """Of the tools that a simulator is made by."""
    return tuple(ask_tool([tool, "--version"], Path.cwd()) for tool in ("verilator", "g++"))


def _power_on(seed: int) -> list[str]:
    """How Verilator fills what is not initialised: with random bits, or 0."""
    return [f"+verilator+rand+reset+{2 if seed else 0}", f"+verilator+seed+{seed or 1}"]


def _arguments(dimensions: Dimensions, folder: Path) -> list[str]:
    package = folder / "network_pkg.sv"
    package.write_text(package_text(dimensions))
    return ["--top-module", "accelerator", str(package), *map(str, sources())]


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
