"""The exact twin of Xylo chips against xylosim, on recurrent networks and batches of clips.

xylosim runs one clip after the other in a process of its own; its inputs are made beforehand.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
import torch

from spikewright.benches.core.row import Row
from spikewright.benches.core.timing import Timing, no_collection, seconds
from spikewright.benches.core.xylosim import VARIABLE, Xylosim, interpreter
from spikewright.targets.xylo.configuration import (
    NO_ALIAS,
    Configuration,
    Population,
    Shifts,
)
from spikewright.targets.xylo.twin.twin import Twin

CLIPS, STEPS, INPUTS, OUTPUTS = 256, 100, 16, 8
SIZES = (63, 128, 256)
FAN_OUT, RATE = 32, 0.2
ROUNDS = 9


def rows() -> Iterator[Row]:
    """Clips a second, for each number of hidden neurons."""
    python = interpreter()
    for neurons in SIZES:
        c, x = case(neurons)
        name = f"{INPUTS}-{neurons}-{OUTPUTS} recurrent, {CLIPS} clips of {STEPS} steps"
        yield _alone(name, c, x) if python is None else _compared(name, c, x, python)


def _alone(name: str, c: Configuration, x: np.ndarray) -> Row:
    twin, events = Twin(c), torch.from_numpy(x).float()
    _timed(twin, events)
    ours = CLIPS / statistics.median(_timed(twin, events) for _ in range(3))
    note = f"name an interpreter that has it in {VARIABLE}"
    return Row(name, ours, None, "xylosim", "clips/s", "higher", note, "peer")


def _compared(name: str, c: Configuration, x: np.ndarray, python: str) -> Row:
    twin, events = Twin(c), torch.from_numpy(x).float()
    with Xylosim(python, c, x) as peer:
        found = peer.states()
        shown, _ = twin.run(events)
        equal = np.array_equal(shown.out.numpy(), found["out"])
        equal &= np.array_equal(shown.v.numpy() if shown.v is not None else 0, found["v"])
        _timed(twin, events)  # compiles what is timed
        ours, theirs = list[float](), list[float]()
        for number in range(ROUNDS):
            turns = [
                lambda: ours.append(_timed(twin, events)),
                lambda: theirs.append(peer.seconds()),
            ]
            for turn in turns if number % 2 == 0 else turns[::-1]:
                turn()
    median, other = Timing(tuple(ours)), Timing(tuple(theirs))
    fired = float((shown.spikes > 0).double().mean())
    note = f"{'equal' if equal else 'NOT EQUAL'} in every output and membrane, {fired:.1%} active"
    figures = CLIPS / median.median, CLIPS / other.median
    spread = (median.spread, other.spread)
    return Row(name, *figures, "xylosim", "clips/s", "higher", note, "peer", spread)


def _timed(twin: Twin, x: torch.Tensor) -> float:
    with no_collection():
        return seconds(lambda: twin.run(x, record=False))


def case(neurons: int) -> tuple[Configuration, np.ndarray]:
    """A network whose neurons reach 32 others on average, and clips; always the same."""
    draw = np.random.default_rng(neurons)

    def weights(sources: int, targets: int, share: float) -> np.ndarray:
        there = draw.random((sources, targets)) < share
        return draw.integers(-40, 36, (sources, targets)) * there

    def cells(count: int) -> Population:
        return Population(
            draw.integers(1, 5, count),
            draw.integers(1, 5, (count, 1)),
            draw.integers(400, 800, count),
            np.zeros(count, dtype=np.int64),
        )

    share = min(1.0, FAN_OUT / neurons)
    c = Configuration(
        "xylo-audio2",
        1e-3,
        cells(neurons),
        cells(OUTPUTS),
        weights(INPUTS, neurons, 0.5)[None],
        weights(neurons, neurons, share)[None],
        weights(neurons, OUTPUTS, 0.5),
        Shifts(1, 0, 1),
        np.full(neurons, NO_ALIAS),
    )
    return c, draw.poisson(RATE, (STEPS, CLIPS, INPUTS)).clip(max=15)
