"""Random groups of neurons for solvers of events, and the same as the reference reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference.events import Arrival, Neurons, Row
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback, Synapses, Table

TAUS = {
    "half": (1.0, 0.5),
    "equal": (0.8, 0.8),
    "close": (0.8, 0.8 * (1 + 1e-7)),
    "other": (1.3, 0.4),
    "slow synapse": (0.5, 1.1),
    "each its own": None,
}
"""(tau_mem, tau_syn) of all neurons, s."""


class Case(NamedTuple):
    current: Current
    cells: Cells
    feedback: Feedback | None = None

    def leaves(self) -> list[Tensor]:
        """All that carries a gradient."""
        found = [self.current.times, self.current.synapses.weight]
        if self.feedback is not None:
            found += [self.feedback.synapses.weight, self.feedback.delay]
        return found + [value for value in self.cells if value is not None]

    def replace(self, leaves: Sequence[Tensor]) -> Case:
        """The same with other ``leaves``."""
        given = iter(leaves)
        times, weight = next(given), next(given)
        synapses = self.current.synapses._replace(weight=weight)
        current = self.current._replace(times=times, synapses=synapses)
        feedback = self.feedback
        if feedback is not None:
            back = feedback.synapses._replace(weight=next(given))
            feedback = feedback._replace(synapses=back, delay=next(given))
        return Case(current, Cells(*given), feedback)

    def trainable(self) -> Case:
        """The same with leaves that ask for gradients."""
        return self.replace([leaf.detach().clone().requires_grad_() for leaf in self.leaves()])


def make_case(
    seed: int,
    taus: str = "other",
    sparse: bool = False,
    feedback: bool = False,
    spiking: bool = True,
    sizes: tuple[int, int, int] = (3, 25, 4),
    duration: float = 5.0,
) -> Case:
    """A batch of trials of a few neurons; ``sizes`` are samples, arrivals in each, and neurons."""
    g = torch.Generator().manual_seed(seed)
    batch, arrivals, neurons = sizes
    rows = 7
    times = (_uniform(g, batch, arrivals) * duration * 1.05).sort(1).values.flatten()
    indices = torch.randint(rows, (batch * arrivals,), generator=g)
    offsets = torch.arange(batch + 1) * arrivals
    synapses = _synapses(g, rows, neurons, sparse, (0.6, 0.9))
    current = Current(times, indices, offsets, synapses, duration)
    back = _feedback(g, neurons, sparse) if feedback else None
    return Case(current, _cells(g, neurons, taus, spiking), back)


def arrivals_in(current: Current, sample: int) -> list[Arrival]:
    """The arrivals of a sample."""
    weights = dense_weight(current.synapses)
    part = slice(int(current.offsets[sample]), int(current.offsets[sample + 1]))
    pairs = zip(current.times[part].tolist(), current.rows[part].tolist(), strict=True)
    return [Arrival(time, weights[row]) for time, row in pairs]


def neurons_of(cells: Cells, number: int) -> Neurons:
    """The neurons, with parameters for each."""
    given = (None if value is None else value.detach().expand(number).numpy() for value in cells)
    return Neurons(*given)


def rows_of(feedback: Feedback | None) -> list[Row]:
    """The rows of a feedback connection."""
    if feedback is None:
        return []
    weights, first = dense_weight(feedback.synapses), feedback.first_row.tolist()
    rows = [(n, r) for n in range(len(first) - 1) for r in range(first[n], first[n + 1])]
    return [Row(n, float(feedback.delay[r]), weights[r]) for n, r in rows]


def dense_weight(synapses: Synapses) -> np.ndarray:
    """What each row adds to each neuron."""
    weight, table = synapses.weight.detach(), synapses.table
    if table is None:
        return weight.numpy()
    found = torch.zeros(len(table.first) - 1, synapses.neurons, dtype=torch.float64)
    owner = torch.arange(len(found)).repeat_interleave(table.first.diff())
    return found.index_put((owner, table.target), weight[table.entry], accumulate=True).numpy()


def differences(function: Callable[[Tensor], Tensor], leaf: Tensor, step: float = 1e-5) -> Tensor:
    """The gradient of a number by central differences of order 4."""
    found = torch.zeros(leaf.numel(), dtype=torch.float64)
    with torch.no_grad():
        for i in range(leaf.numel()):
            for shift, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                moved = leaf.detach().clone()
                moved.view(-1)[i] += shift * step
                found[i] += factor * float(function(moved)) / (12 * step)
    return found.view(leaf.shape)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest error, relative to the largest value expected."""
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _uniform(g: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=g, dtype=torch.float64)


def _cells(g: torch.Generator, neurons: int, taus: str, spiking: bool) -> Cells:
    chosen = TAUS[taus]
    if chosen is None:
        own = (0.5 + _uniform(g, neurons), 0.4 + 0.5 * _uniform(g, neurons))
        edges = (0.4 + 0.2 * _uniform(g, neurons), -0.2 * _uniform(g, neurons))
    else:
        own = tuple(torch.tensor(tau, dtype=torch.float64) for tau in chosen)
        edges = tuple(torch.tensor(value, dtype=torch.float64) for value in (0.5, 0.1))
    return Cells(*own, *edges) if spiking else Cells(*own)


def _synapses(
    g: torch.Generator, rows: int, neurons: int, sparse: bool, scale: tuple[float, float]
) -> Synapses:
    mean, spread = scale
    if not sparse:
        noise = torch.randn(rows, neurons, generator=g, dtype=torch.float64)
        return Synapses(mean + spread * noise, neurons)
    each = max(1, neurons - 1)
    first = torch.arange(rows + 1) * each
    target = torch.cat([torch.randperm(neurons, generator=g)[:each] for _ in range(rows)])
    entry = torch.randint(rows * 2, (rows * each,), generator=g)
    noise = torch.randn(rows * 2, generator=g, dtype=torch.float64)
    return Synapses(mean + spread * noise, neurons, Table(first, target, entry))


def _feedback(g: torch.Generator, neurons: int, sparse: bool) -> Feedback:
    """Inhibitory on the whole; two rows a neuron, the first without delay."""
    rows = 2 * neurons
    delay = 0.3 * _uniform(g, rows)
    delay[::2] = 0.0
    synapses = _synapses(g, rows, neurons, sparse, (-0.1, 0.15))
    return Feedback(synapses, torch.arange(neurons + 1) * 2, delay)
