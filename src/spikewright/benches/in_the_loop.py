"""What it costs to have a chip in the loop: its twin here, and behind a wire.

The Yin-Yang network (5-120-3, 38 steps of 1 µs) with a batch of 75 samples, as it is trained.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

import spikewright as sw
from spikewright.benches.core.row import Row
from spikewright.benches.core.timing import Timing, interleaved
from spikewright.engine.forward import forward_by
from spikewright.errors import DeviceError
from spikewright.learning.rule import Batch
from spikewright.recipes import recipe
from spikewright.recipes.core.run import Parts, build
from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.twin import Twin

SAMPLES, STEPS = 75, 38
MOST = 20.0
"""ms that the twin may take for a batch."""
SEED = 0
ROUNDS = 31
SERVE = f"""
from spikewright.targets.brainscales2.twin import Twin
from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device.server import DeviceServer
with DeviceServer(Twin({SEED}), CODEC) as server:
    print(server.url, server.token, flush=True)
    input()
"""


def rows() -> Iterator[Row]:
    """The twin alone, then a step of training and a test of a batch: software, local, wire."""
    parts = build(recipe("yin-yang"), recipe("yin-yang").settings())
    x, y = parts.data.train.batch(torch.arange(SAMPLES))
    with _served() as remote:
        chips = {"local": Twin(SEED), "wire": remote}
        programs = {name: _program(parts, x, chip) for name, chip in chips.items()}
        programs |= {"software": None}
        yield _twin(programs["local"], x)
        yield from _compared("train step", _trainers(parts, Batch(x, y), programs))
        yield from _compared("test", _testers(parts, Batch(x, y), programs))


@contextlib.contextmanager
def _served() -> Iterator[Any]:
    """A chip behind a wire, served by another process."""
    command = [sys.executable, "-c", SERVE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        try:
            assert server.stdout is not None
            words = server.stdout.readline().split()
            if len(words) != 2:
                raise DeviceError(
                    "bench in-the-loop: a server must start and say where it is, got "
                    f"{words}. Try `spikewright device serve brainscales2`."
                )
            with RemoteChip(*words) as chip:
                yield chip
        finally:
            server.kill()


def _program(parts: Parts, x: torch.Tensor, chip: Any) -> Any:
    target = sw.targets.BrainScaleS2(chip=chip, settings="nominal")
    return sw.compile(parts.network, target, calibration=x)


def _twin(program: Any, x: torch.Tensor) -> Row:
    """A batch on the twin, from the input's events to what the layers showed."""
    artefact = program.artefact
    found = interleaved({"twin": lambda: artefact.observe(x, SEED)}, ROUNDS)["twin"]
    dt = artefact.chip.identity()["dt"]
    return Row(
        f"twin, {SAMPLES} samples of {STEPS} µs, internal step {dt * 1e6:g} µs",
        1e3 * found.median,
        MOST,
        "bound",
        kind="limit",
        spread=(found.spread, 0.0),
    )


def _trainers(parts: Parts, batch: Batch, programs: dict[str, Any]) -> dict[str, Any]:
    state = parts.rule.init(parts.network, total_steps=10**6)

    def trainer(program: Any) -> Callable[[], object]:
        def step() -> object:
            with forward_by(program):
                return parts.rule.train_batch(parts.network, batch, state)

        return step

    return {name: trainer(program) for name, program in programs.items()}


def _testers(parts: Parts, batch: Batch, programs: dict[str, Any]) -> dict[str, Any]:
    state = parts.rule.init(parts.network, total_steps=10**6)

    def tester(program: Any) -> Callable[[], object]:
        def test() -> object:
            with forward_by(program):
                return parts.rule.evaluate(parts.network, batch, state)

        return test

    return {name: tester(program) for name, program in programs.items()}


def _compared(what: str, calls: dict[str, Callable[[], object]]) -> Iterator[Row]:
    found = interleaved(calls, ROUNDS)
    case = f"{what}, {SAMPLES} samples"
    software, local, wire = (found[name] for name in ("software", "local", "wire"))
    yield _row(f"{case}, twin in the loop", local, software, "software alone")
    yield _row(f"{case}, twin behind a wire in the loop", wire, software, "software alone")
    yield _row(f"{case}, twin behind a wire in the loop", wire, local, "the twin here")


def _row(case: str, ours: Timing, other: Timing, name: str) -> Row:
    more = 1e3 * (ours.median - other.median)
    return Row(
        case,
        1e3 * ours.median,
        1e3 * other.median,
        name,
        note=f"{more:+.2f} ms",
        kind="own",
        spread=(ours.spread, other.spread),
    )
