"""Sparse backward passes: a window on the surrogate against full support and eager PyTorch.

The network and the setting are those of sparse spiking gradient descent for spoken digits, see
`spikewright.benches.core.shd`. What is timed is a forward pass, or a backward pass over a graph
that is kept; each way of running it has a process of its own, one timing from each in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from spikewright.benches.core.compare import OURS, Entry, measure
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.row import Row
from spikewright.benches.core.shd import (
    INDEXED,
    UNBOUND,
    ByHand,
    Model,
    Ours,
    shd_input,
    shd_task,
)
from spikewright.benches.core.task import Task, Work

Part = Literal["layer 2", "network"]
Pass = Literal["forward", "backward"]
TASK = shd_task()
WINDOWS = (0.5, 0.2, 0.1, 0.05, 0.01)
FULL, DENSE = "full support", "full support and dense products"
ROUNDS = 7
PUBLISHED: tuple[Part, Pass] = ("layer 2", "backward")
"""What the paper gives figures of; there the slow loop it measured runs, too."""
CASES: tuple[tuple[Part, Pass], ...] = (PUBLISHED, ("network", "backward"), ("network", "forward"))


def rows() -> Iterator[Row]:
    """Each window beside our own kernels without one and beside the loops by hand."""
    for part, way in CASES:
        found = entries(part, way)
        measure(TASK, found, ROUNDS)
        yield from to_rows(part, way, found)


def entries(part: Part, way: Pass, windows: Sequence[float] = WINDOWS) -> list[Entry]:
    """Each window, and all that has none."""
    found = [_entry("window", OURS, f"{part}/{way}/{window:g}") for window in windows]
    found += [_entry("this package", "own", f"{part}/{way}/{support}") for support in (FULL, DENSE)]
    for steps in (UNBOUND, INDEXED) if (part, way) == PUBLISHED else (UNBOUND,):
        found.append(_entry("PyTorch by hand, eager", "by hand", f"{part}/{way}/{steps}"))
    return found


def _entry(name: str, kind: str, variant: str) -> Entry:
    first = "torch" if kind == "by hand" else "spikewright"
    way = variant.rpartition("/")[2]
    return Entry(name, kind, Contender(__name__, variant, first=first), way)


def prepare(task: Task, variant: str) -> Work:
    """A pass through a part of the network.

    Args:
        variant: part, pass and way of running it, with slashes between: the way is a window,
            `FULL`, `DENSE` or that of a loop by hand.
    """
    part, direction, way = variant.split("/")
    x, model = shd_input(task), make_model(task, way)
    if part == "layer 2":
        leaf = model.first(x)
        wanted, call = [leaf, model.weights[1]], lambda: model.second(leaf)
    else:
        wanted, call = model.weights, lambda: model.whole(x)
    return Work(_run(call, wanted, direction), lambda: model.facts(x), model.version)


def make_model(task: Task, way: str) -> Model:
    """The network in one way of running it."""
    if way in (UNBOUND, INDEXED):
        return ByHand(task, way)
    if way in (FULL, DENSE):
        return Ours(task, None, "auto" if way == FULL else "dense")
    return Ours(task, float(way))


def _run(
    call: Callable[[], Tensor], wanted: Sequence[Tensor], direction: str
) -> Callable[[], object]:
    if direction == "forward":
        return call
    y = call()
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(4))
    return lambda: torch.autograd.grad(y, wanted, gradient, retain_graph=True)


def to_rows(part: Part, way: Pass, found: Sequence[Entry], task: Task = TASK) -> Iterator[Row]:
    """Each window beside all that has none."""
    others = [entry for entry in found if entry.kind != OURS]
    for ours in (entry for entry in found if entry.kind == OURS):
        for other in others:
            yield Row(
                f"{way} of {part}, {_shape(task)}, window {ours.way}{_active(ours)}",
                ours.median,
                other.median,
                other.label,
                task.unit,
                note="; ".join(filter(None, (ours.reason, other.reason or _rates(other)))),
                kind=other.kind,
                spread=(ours.timing.spread, other.timing.spread),
            )


def _shape(task: Task) -> str:
    return f"{'-'.join(map(str, task.sizes))}, T={task.steps} B={task.batch}"


def _rates(entry: Entry) -> str:
    return f"rates {_percent(entry.rates[:2])}" if entry.rates else ""


def _active(entry: Entry) -> str:
    return f"; active {_percent(entry.rates[2:])}" if entry.rates else ""


def _percent(shares: Sequence[float]) -> str:
    return " and ".join(f"{100 * share:.2g}" for share in shares) + " %"
