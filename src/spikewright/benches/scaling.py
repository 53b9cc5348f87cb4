"""A step of a recurrent layer as it grows: what its spikes cost, not its neurons squared.

All N neurons are connected to all. A fixed share of them, drawn anew for each step, is made to
spike by the input, and the weights are too small to add to that. The compiled stream takes one
row of N weights for each spike; beside it stands the dense product of the N² weights with the
same spikes. A synaptic event is a spike that reaches one neuron: its cost is the time of a step
less that of a step without spikes, in which all neurons take their step all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import spikewright as sw
from spikewright.benches.core.compare import OURS, Entry, measure
from spikewright.benches.core.contender import Contender
from spikewright.benches.core.row import Row
from spikewright.benches.core.task import DECAY, DT, Task, Work

SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
SHARE = 0.01
SHARES, MIDDLE = (0.0025, 0.005, 0.02, 0.04), 4096
"""Other shares of spikes, at one size."""
ROUNDS = 9
STREAM, SILENT, DENSE = "stream", "no spikes", "dense"
WEIGHTS_READ = 1 << 28
"""By the dense products of a run, which sets how many steps it has."""
SMALL = 1e-6


def rows() -> Iterator[Row]:
    """A step at each size, then at each share of spikes; small to large."""
    cases = [(size, SHARE) for size in SIZES] + [(MIDDLE, share) for share in SHARES]
    for size, share in cases:
        yield measured(scaling_task(size, share))


def scaling_task(size: int, share: float) -> Task:
    """Steps of one sample; fewer where they are longer."""
    return Task("recurrent", "stream", max(16, WEIGHTS_READ // size**2), 1, (size,), share)


def measured(task: Task, rounds: int = ROUNDS) -> Row:
    """Time our step, the same without spikes and the dense product, in turn."""
    ours, silent, dense = found = [
        Entry("this package", OURS, Contender(__name__, STREAM, first="spikewright"), STREAM),
        Entry("this package", OURS, Contender(__name__, SILENT, first="spikewright"), SILENT),
        Entry("dense product of all weights", "limit", Contender(__name__, DENSE, first="torch")),
    ]
    measure(task, found, rounds)
    return to_row(task, ours, silent, dense)


def to_row(task: Task, ours: Entry, silent: Entry, dense: Entry) -> Row:
    """The comparison of a task, with the cost of a synaptic event where it could be measured."""
    (size,), spikes = task.sizes, spikes_a_step(task)
    reasons = [entry.reason for entry in (ours, silent, dense) if entry.reason]
    return Row(
        f"one step, {size} recurrent neurons, {100 * task.density:g} % spike: {spikes} spikes",
        ours.median,
        dense.median,
        dense.label,
        task.unit,
        note="; ".join(reasons) or _per_event(spikes * size, ours, silent),
        kind=dense.kind,
        spread=(ours.timing.spread, dense.timing.spread),
    )


def _per_event(events: int, ours: Entry, silent: Entry) -> str:
    assert ours.median is not None
    assert silent.median is not None
    cost = max(0.0, ours.median - silent.median) * 1e3 / events
    return f"ours {cost:.3f} ns a synaptic event, {silent.median:.3g} µs without spikes"


def spikes_a_step(task: Task) -> int:
    """How many neurons spike in a step; at least one.

    >>> spikes_a_step(scaling_task(4096, 0.01))
    41
    """
    return max(1, round(task.sizes[0] * task.density))


def spikes_of(task: Task) -> Tensor:
    """Which neurons spike, (T, 1, N), the same number in each step."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(task.steps, 1, task.sizes[0])
    for row in x:
        row[0, torch.randperm(task.sizes[0], generator=generator)[: spikes_a_step(task)]] = 1.0
    return x


def prepare(task: Task, variant: str) -> Work:
    """The steps of a task: `STREAM`, `SILENT` or `DENSE`."""
    spikes = spikes_of(task)
    if variant == DENSE:
        return Work(_products(spikes), list, torch.__version__.partition("+")[0])
    x = 2 * spikes if variant == STREAM else torch.zeros_like(spikes)
    stream = _network(task.sizes[0]).stream()
    return Work(lambda: stream.run(x), lambda: [float(stream.run(x).mean())], sw.__version__)


def _network(size: int) -> sw.Network:
    firing, tau = sw.Firing(reset="to_value"), -DT / math.log(DECAY)
    cells = sw.Recurrent(sw.LIF(tau_mem=tau, r=1 / (1 - DECAY), firing=firing))
    net = sw.Sequential(cells, dt=DT, shape=(size,)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-SMALL, SMALL)
    return net


def _products(spikes: Tensor) -> Callable[[], object]:
    size = spikes.shape[2]
    weight, y = torch.empty(size, size).uniform_(-SMALL, SMALL), torch.empty(size)
    steps = [row[0] for row in spikes]

    def run() -> None:
        for step in steps:
            torch.mv(weight, step, out=y)

    return run
