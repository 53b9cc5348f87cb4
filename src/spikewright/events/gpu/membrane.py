"""`Exact.sample`, `integrate` and `peak` on a GPU.

A kernel gives the state just after each arrival; what follows from it until the next is written in
PyTorch, which differentiates it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.engine.gpu.backend import launch
from spikewright.engine.once import differentiable_once
from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.exact.quadrature import SHARPER, quadrature
from spikewright.events.gpu.lists import dense_weight
from spikewright.events.gpu.load import check_device, lanes, load
from spikewright.events.gpu.synapses import sum_rows, sum_samples
from spikewright.events.ragged import Ragged
from spikewright.events.solver import Samples, TimeWeight
from spikewright.neurons.exponential import relative_expm1

_SECOND = "Use the loss itself, not a function of its gradient."


def sample(current: Current, cells: Cells) -> Samples:
    """u where a quadrature over the trial needs it, at the places that the CPU takes."""
    check_device(current.times.device)
    return _sample(current, cells, SHARPER * _rate(cells))


def integrate(current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
    """(batch, neurons): 1 / duration times the integral of weight(t) u(t) over the trial."""
    check_device(current.times.device)
    at = _sample(current, cells, _rate(cells) + weight.rate)
    samples = None
    if not weight.shared:
        samples = Ragged(at.times, at.times, at.offsets).samples
    share = at.weights * weight(at.times, samples) / current.duration
    return sum_samples(at.offsets, share[:, None] * at.values)


def peak(current: Current, cells: Cells) -> Tensor:
    """(batch, neurons): the largest u of the trial, its start (u = 0) included."""
    check_device(current.times.device)
    states = _follow(current, cells)
    with torch.no_grad():
        where, wait = _highest(states, current.duration)
    value = states.later(states.u.gather(0, where), states.j.gather(0, where), wait)
    # Where u falls from an arrival on, the peak moves with that arrival; elsewhere u' = 0.
    slope = ((states.j - states.u) / states.tau_mem).detach().gather(0, where)
    times = states.times[where]
    moves = torch.where(wait == 0, slope, 0.0) * (times - times.detach())
    return torch.where(where > 0, value + moves, 0.0)


@dataclass(frozen=True, eq=False)
class _States:
    """Neurons at the trial's start, the same for all samples, and just after each arrival.

    Args:
        times: (1 + arrivals,), s.
        u, j: (1 + arrivals, neurons); the gradient with respect to them moves arrivals as if what
            follows was looked at at fixed times.
        offsets: (batch + 1,), of the arrivals.
        tau_mem, tau_syn: () or (neurons,), s.
    """

    times: Tensor
    u: Tensor
    j: Tensor
    offsets: Tensor
    tau_mem: Tensor
    tau_syn: Tensor

    def later(self, u: Tensor, j: Tensor, h: Tensor) -> Tensor:
        """u after h seconds without an arrival."""
        mem, syn = self.tau_mem, self.tau_syn
        z = (h * (mem - syn) / (mem * syn)).abs()
        gain = h / mem * torch.exp(-h / torch.maximum(mem, syn)) * relative_expm1(-z)
        return u * torch.exp(-h / mem) + j * gain


def _follow(current: Current, cells: Cells) -> _States:
    events = Ragged(current.times, current.rows, current.offsets).until(current.duration)
    weight = dense_weight(current.synapses)
    taus = [tau.double().expand(weight.shape[1]) for tau in cells[:2]]
    u, j = _Follow.apply(events.marks, events.offsets, events.times, weight, *taus)
    start = u.new_zeros(1, u.shape[1])
    times = torch.cat([start[:, 0], events.times]) if u.shape[1] else events.times
    u, j = torch.cat([start, u]), torch.cat([start, j])
    return _States(times, u, j, events.offsets, cells.tau_mem.double(), cells.tau_syn.double())


class _Follow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, offsets: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = [t.detach().contiguous() for t in tensors]
        u, j = (given[0].new_empty(len(given[0]), given[1].shape[1]) for _ in range(2))
        _launch("forward", offsets, [given[0], rows, given[1], offsets, *given[2:], u, j])
        ctx.save_for_backward(rows, offsets, *tensors)
        return u, j

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, offsets, *tensors = ctx.saved_tensors
        times, weight, *taus = (t.detach().contiguous() for t in tensors)
        g_weight, g_arrival = (torch.empty_like(grads[0]) for _ in range(2))
        g_taus = [times.new_empty(len(offsets) - 1, weight.shape[1]) for _ in range(2)]
        given = [times, rows, weight, offsets, *taus, *(g.contiguous() for g in grads)]
        _launch("backward", offsets, [*given, g_weight, g_arrival, *g_taus])
        found = [
            g_arrival.sum(1),
            sum_rows(rows, g_weight, len(weight)),
            *(g.sum(0) for g in g_taus),
        ]
        results = differentiable_once("events.gpu", _SECOND, found, (*tensors, *grads))
        return (None, None, *results)


def _launch(name: str, offsets: Tensor, tensors: list[Tensor]) -> None:
    neurons = tensors[2].shape[1]
    blocks = -(-neurons // lanes())
    programs = blocks * (len(offsets) - 1)
    if programs:
        launch(load("membrane", name), programs, lanes(), tensors, (neurons, blocks))


def _sample(current: Current, cells: Cells, rate: float) -> Samples:
    states = _follow(current, cells)
    device = states.u.device
    arrivals = current.times.detach().cpu().numpy(), current.offsets.cpu().numpy()
    places = quadrature(*arrivals, current.duration, rate)
    times, weights, offsets = (torch.from_numpy(part).to(device) for part in places)
    index = _last_before(states, times, offsets)
    h = (times - states.times.detach()[index])[:, None]
    return Samples(states.later(states.u[index], states.j[index], h), times, weights, offsets)


def _last_before(states: _States, places: Tensor, offsets: Tensor) -> Tensor:
    """The state that each place follows, 0 for those before the first arrival of their sample."""
    arrivals = _padded(states.times.detach()[1:], states.offsets)
    wanted = _padded(places, offsets)
    number = torch.searchsorted(arrivals, wanted)
    return torch.where(number > 0, number + states.offsets[:-1, None], 0)[wanted < math.inf]


def _padded(times: Tensor, offsets: Tensor) -> Tensor:
    """(batch, most of a sample), with infinity behind."""
    lengths = offsets.diff()
    width = int(lengths.max()) if len(lengths) else 0
    held = torch.arange(width, device=times.device) < lengths[:, None]
    return times.new_full(held.shape, math.inf).masked_scatter(held, times)


def _highest(states: _States, duration: float) -> tuple[Tensor, Tensor]:
    """The state that the peak of each (sample, neuron) follows, and how long after it that is.

    State 0, the start, where u is never above 0.
    """
    u, j, times, offsets = states.u[1:], states.j[1:], states.times[1:], states.offsets
    ends, final = torch.cat([times[1:], times[:1]]), torch.zeros_like(times, dtype=torch.bool)
    last = offsets[1:][offsets.diff() > 0] - 1
    ends[last], final[last] = duration, True
    h, rises = (ends - times)[:, None], j > u
    wait = torch.where(rises, torch.minimum(_time_to_peak(states, u, j), h), 0.0)
    # What rises up to the next arrival is looked at there.
    value = states.later(u, j, wait).masked_fill(rises & (wait == h) & ~final[:, None], -math.inf)
    batch = len(offsets) - 1
    samples = Ragged(times, times, offsets).samples[:, None].expand(u.shape)
    best = u.new_zeros(batch, u.shape[1]).scatter_reduce(0, samples, value, "amax")
    index = torch.arange(1, len(u) + 1, device=u.device)[:, None]
    reached = (value == best.gather(0, samples)) & (value > 0)
    none = len(u) + 1
    where = torch.full_like(best, none, dtype=torch.int64)
    where = where.scatter_reduce(0, samples, torch.where(reached, index, none), "amin")
    where = torch.where(where < none, where, 0)
    return where, torch.cat([wait.new_zeros(1, wait.shape[1]), wait]).gather(0, where)


def _time_to_peak(states: _States, u: Tensor, j: Tensor) -> Tensor:
    """When u' = 0, where j > u; infinity where it never is."""
    mem, syn = states.tau_mem, states.tau_syn
    gap = 1 - u / j
    x = (mem - syn) / mem * gap
    wait = syn * gap * torch.where(x == 0, 1.0, -torch.log1p(-x) / x)
    return torch.where((j > 0) & (x < 1), wait, math.inf)


def _rate(cells: Cells) -> float:
    """How fast the membranes may bend, 1/s."""
    return float((1 / cells.tau_mem + 1 / cells.tau_syn).detach().max())
