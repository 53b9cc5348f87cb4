"""Runs a core's SystemVerilog, built by Verilator and kept for the next time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spikewright.errors import ProgramError
from spikewright.targets.fpga.lif.emit import identity, images, made, sources
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.lif.network import FixedNetwork, Whole
from spikewright.targets.fpga.lif.print_bench import bench_text
from spikewright.targets.fpga.run_tool import ask_tool
from spikewright.targets.fpga.verilator import (
    COMPILED,
    HEADER,
    Traffic,
    kept_simulator,
    lint_report,
)

TESTBENCH = Path(__file__).parent.parent / "bench" / "lif_testbench.cpp"
HOST = TESTBENCH.with_name("weight_host.sv")
FLAGS = (*COMPILED, "--x-assign", "unique")
SPIKE, STEP, FRESH = 0, 1, 2
"""Kinds of events, as in ``event_pkg.sv``."""


class Simulated(NamedTuple):
    """What the SystemVerilog did.

    Args:
        outputs: (time, batch, neurons) of the last layer.
        busy: clocks of work, (layers, batch).
        saturated: states cut to their range, (layers, batch).
        clocks: from the first event offered to the last that came out, (batch).
    """

    outputs: Whole
    busy: Whole
    saturated: Whole
    clocks: Whole


def simulate(
    network: FixedNetwork,
    x: ArrayLike,
    lanes: Lanes | None = None,
    traffic: Traffic | None = None,
    by_register: bool = False,
) -> Simulated:
    """What the core answers to whole numbers of spikes (time, batch, inputs).

    Args:
        traffic: gaps of the streams, and a reset after so many clocks.
        by_register: whether that is written into a register, else it comes by the wire.

    Raises:
        ShapeError: another shape.
        MissingDependency: no Verilator.
        ProgramError: the simulation failed; the message ends with what it said.
    """
    events, chosen = network.checked(x), lanes or Lanes()
    simulator = build(network, chosen)
    with tempfile.TemporaryDirectory(prefix="spikewright-lif-") as folder:
        place = Path(folder)
        for name, text in images(network, chosen).items():
            (place / name).write_text(text)
        facts = [len(network.layers), identity(network, chosen)]
        commands = _commands(events, facts, traffic or Traffic(), by_register)
        (place / "commands").write_text(commands)
        gap = (traffic or Traffic()).gap
        said = ask_tool([str(simulator), "commands", f"+weight_gap={gap}"], place)
    return _read(said, network, len(events))


def lint(network: FixedNetwork, lanes: Lanes | None = None) -> str:
    """What ``verilator --lint-only -Wall`` says; nothing if all is well.

    Raises:
        MissingDependency: no Verilator.
        ProgramError: it found something; the message ends with it.
    """
    return lint_report(lambda folder: _arguments(network, lanes or Lanes(), folder))


def build(network: FixedNetwork, lanes: Lanes) -> Path:
    """The simulator for a core; made if it is not in the cache. Images are read when it runs."""
    given = [repr(sorted(made(network, lanes).items())).encode()]
    given += [path.read_bytes() for path in (*sources(), TESTBENCH, HEADER, HOST)]
    given += [bench_text(network, lanes).encode()] if lanes.stream_weights else []

    def arguments(folder: Path) -> list[str]:
        if not lanes.stream_weights:
            return [*_arguments(network, lanes, folder), str(TESTBENCH)]
        bench = folder / "lif_bench.sv"
        bench.write_text(bench_text(network, lanes))
        files = [*_written(network, lanes, folder), str(HOST), str(bench), str(TESTBENCH)]
        return ["--top-module", "lif_bench", "--prefix", "Vlif_core", *files]

    return kept_simulator("Vlif_core", FLAGS, given, arguments)


def _arguments(network: FixedNetwork, lanes: Lanes, folder: Path) -> list[str]:
    return ["--top-module", "lif_core", *_written(network, lanes, folder)]


def _written(network: FixedNetwork, lanes: Lanes, folder: Path) -> list[str]:
    files = [str(path) for path in sources()]
    for name, text in made(network, lanes).items():
        (folder / name).write_text(text)
        files.append(str(folder / name))
    return files


def _commands(events: Whole, facts: list[int], traffic: Traffic, by_register: bool) -> str:
    words = [word for sample in np.moveaxis(events, 1, 0) for word in _words(sample)]
    ways = [traffic.gap, traffic.seed, traffic.reset_at, int(by_register)]
    head = [len(words), events.shape[1], *facts, *ways]
    return "\n".join([" ".join(map(str, head)), *(f"{word:x}" for word in words)]) + "\n"


def _words(sample: Whole) -> list[int]:
    """The events of one sample, (time, inputs)."""
    words: list[int] = []
    for row in sample:
        lines = np.repeat(np.arange(len(row)), row)
        words += [SPIKE << 30 | line for line in lines.tolist()]
        words.append(STEP << 30)
    return [*words, FRESH << 30]


def _read(said: str, network: FixedNetwork, steps: int) -> Simulated:
    layers = len(network.layers)
    rows = [[int(word) for word in line.split()] for line in said.splitlines()]
    counts = np.array([row[: 1 + 2 * layers] for row in rows], np.int64).T
    shape = (steps, network.layers[-1].neurons)
    outputs = [_told(row[1 + 2 * layers :], shape) for row in rows]
    busy, saturated = counts[1 : 1 + layers], counts[1 + layers :]
    return Simulated(np.stack(outputs, 1), busy, saturated, counts[0])


def _told(events: list[int], shape: tuple[int, int]) -> Whole:
    """The outputs of one sample, (time, neurons).

    Raises:
        ProgramError: the stream breaks its rules.
    """
    found, step = np.zeros(shape, np.int64), 0
    for event in events:
        kind, neuron, number = event >> 62, event >> 32 & (1 << 30) - 1, event & (1 << 32) - 1
        if kind == SPIKE and step < shape[0] and neuron < shape[1] and not found[step, neuron]:
            found[step, neuron] = number - (number >> 31 << 32)
        elif kind == STEP:
            step += 1
        elif kind != FRESH:
            raise _odd(f"event {event:x} in step {step}")
    if step != shape[0] or not events or events[-1] >> 62 != FRESH:
        raise _odd(f"{step} steps")
    return found


def _odd(what: str) -> ProgramError:
    return ProgramError(
        f"fpga.lif: the core must answer each step in turn, got {what}. Please report this network."
    )
