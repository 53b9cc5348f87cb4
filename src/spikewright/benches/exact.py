"""Training steps with exact gradients: as the trial is cut into more steps, and against a peer.

The spikes stay the same while the steps of the grid get shorter: exact events do not see them,
EventProp on the grid takes time for each step but no memory, surrogate gradients take both. With
learnable delays, a delay each synapse, EventProp stands beside both surrogate estimators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spikewright.benches.core.compare import OURS, Entry, measure, measure_memory
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.latency import (
    CHAIN,
    CHECKPOINT,
    DELAYS,
    EXACT,
    GRID,
    KERNEL,
    SURROGATE,
    latency_task,
)
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import Task

STEPS = (100, 1000, 10_000)
DELAYED_STEPS, DELAYED_SIZES = (100, 400), (200, 64, 10)
ROUNDS, MEMORY_ROUNDS = 9, 3
MODULE, PEERS = "spikewright.benches.core.latency", "spikewright.benches.peers"
OTHERS = {
    SURROGATE: "own",
    CHECKPOINT: "own",
    KERNEL: "own",
    "jaxsnn": "peer",
}


def rows() -> Iterator[Row]:
    """Time, then memory of a step at each number of steps; then the same with learnable delays."""
    plain, delayed = (EXACT, GRID, CHAIN), (EXACT, GRID)
    tasks = [latency_task(steps) for steps in STEPS]
    with_delays = [latency_task(n, sizes=DELAYED_SIZES, net=DELAYS) for n in DELAYED_STEPS]
    for task in tasks:
        yield from _timed(task, plain, (SURROGATE, CHECKPOINT, "jaxsnn"))
    for task in tasks:
        yield from _weighed(task, plain, (SURROGATE, CHECKPOINT))
    for task in with_delays:
        yield from _timed(task, delayed, (SURROGATE, KERNEL))
    for task in with_delays:
        yield from _weighed(task, delayed, (SURROGATE, KERNEL))


def _timed(task: Task, ours: Sequence[str], others: Sequence[str]) -> Iterator[Row]:
    found = [_entry(name) for name in (*ours, *others)]
    measure(task, found, ROUNDS)
    yield from _to_rows(task, found, len(ours), "ms")


def _weighed(task: Task, ours: Sequence[str], others: Sequence[str]) -> Iterator[Row]:
    found = [_entry(name) for name in (*ours, *others)]
    measure_memory(task, found, MEMORY_ROUNDS)
    yield from _to_rows(task, found, len(ours), "MB")


def _entry(name: str) -> Entry:
    if OTHERS.get(name) == "peer":
        return Entry(name, "peer", Contender(f"{PEERS}.{name}", first="torch"))
    return Entry("this package", OURS, Contender(MODULE, name, first="spikewright"), name)


def _to_rows(task: Task, found: Sequence[Entry], ours: int, unit: str) -> Iterator[Row]:
    """Each of the first entries beside each of the others."""
    for mine in found[:ours]:
        for other in found[ours:]:
            yield Row(
                f"{task.label}, {mine.way}",
                mine.median,
                other.median,
                other.way or other.label,
                unit,
                note="; ".join(filter(None, (mine.reason, other.reason))),
                kind=OTHERS[other.way or other.name],
                spread=(mine.timing.spread, other.timing.spread),
            )
