"""Membranes of neurons without a threshold: their values, integrals and peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.engine.native import native
from spikewright.engine.once import differentiable_once
from spikewright.engine.threads import run_ranges
from spikewright.events.cells import Cells
from spikewright.events.current import Current
from spikewright.events.exact.credit import credit, gradients, integral_credit, total
from spikewright.events.exact.history import Floats
from spikewright.events.exact.quadrature import SHARPER, Places, quadrature
from spikewright.events.exact.readout import Readout
from spikewright.events.solver import Samples, TimeWeight


def sample(current: Current, cells: Cells) -> Samples:
    """u where a quadrature over the trial needs it, its places dense enough for about 1e-9."""
    readout = Readout.of(current, cells)
    rate = SHARPER * readout.rate
    places = quadrature(readout.times, readout.offsets, readout.duration, rate)
    values = _Values.apply(*_leaves(current, cells), readout, places)
    times, weights, offsets = (torch.from_numpy(part) for part in places)
    return Samples(values, times, weights, offsets)


def integrate(current: Current, cells: Cells, weight: TimeWeight) -> Tensor:
    """(batch, neurons): 1 / duration times the integral of weight(t) u(t) over the trial."""
    return _Integral.apply(*_leaves(current, cells), Readout.of(current, cells), weight)


def peak(current: Current, cells: Cells) -> Tensor:
    """(batch, neurons): the largest u of the trial, its start (u = 0) included."""
    return _Peak.apply(*_leaves(current, cells), Readout.of(current, cells))


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        readout, places = ctx.readout, ctx.places = inputs[-2:]
        ctx.save_for_backward(*inputs[:4])
        values = np.empty((len(places.times), readout.neurons))
        fixed = (places.times, places.offsets, readout.times, *readout.events)
        kernel, taus = _kernels().values_at, (readout.tau_mem, readout.tau_syn)
        work = values.size + readout.work
        run_ranges(lambda i, j: kernel(i, j, *fixed, *taus, values), readout.batch, work)
        return torch.from_numpy(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        # The places count as fixed: panels begin at arrivals, and u is continuous there, so what
        # a moved arrival changes is smooth inside each panel and summed as well as the loss is.
        found = credit(ctx.readout, ctx.places, _array(grads[0]), _tangents(ctx))
        return (*_once(_results(ctx, found, _ones(ctx.readout)), grads), None, None)


class _Integral(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.readout, weight = inputs[-2:]
        ctx.save_for_backward(*inputs[:4])
        ctx.found = integral_credit(ctx.readout, weight, _tangents(ctx))
        return torch.from_numpy(total(ctx.readout, ctx.found))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        return (*_once(_results(ctx, ctx.found, _array(grads[0])), grads), None, None)


class _Peak(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        readout = ctx.readout = inputs[-1]
        ctx.save_for_backward(*inputs[:4])
        best, when, rise = (np.empty((readout.batch, readout.neurons)) for _ in range(3))
        arrival = np.empty(best.shape, dtype=np.int64)
        cells = (readout.tau_mem, readout.tau_syn, readout.duration)
        fixed = (readout.times, *readout.events, *cells, best, when, arrival, rise)
        kernel = _kernels().largest
        run_ranges(lambda i, j: kernel(i, j, *fixed), readout.batch, readout.work)
        ctx.when, ctx.arrival, ctx.rise = when, arrival, rise
        return torch.from_numpy(best)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        # At its largest, u does not change to first order with the time it is looked at.
        gradient, readout = _array(grads[0]), ctx.readout
        order = ctx.when.argsort(axis=1)
        given = np.zeros((*order.shape, readout.neurons))
        picked = np.take_along_axis(gradient, order, 1)
        np.put_along_axis(given, order[:, :, None], picked[:, :, None], 2)
        times = np.take_along_axis(ctx.when, order, 1).ravel()
        places = Places(times, times, np.arange(readout.batch + 1) * readout.neurons)
        found = credit(readout, places, given.reshape(-1, readout.neurons), _tangents(ctx))
        results = _results(ctx, found, _ones(readout))
        # Unless it is there because an arrival ends its rise, and so moves with that arrival.
        edge = ctx.arrival >= 0
        places_of, slope = torch.from_numpy(ctx.arrival[edge]), gradient[edge] * ctx.rise[edge]
        results[0] = results[0].index_add(0, places_of, torch.from_numpy(slope))
        return (*_once(results, grads), None)


def _results(ctx: Any, found: Floats, given: Floats) -> list[Tensor]:
    """The gradients of times, weight, tau_mem and tau_syn, in their shapes."""
    times, weights, taus = gradients(ctx.readout, found, given)
    _, weight, *cells = ctx.saved_tensors
    by_tau = (
        torch.from_numpy(tau).sum_to_size(c.shape) for tau, c in zip(taus, cells, strict=True)
    )
    return [torch.from_numpy(times), torch.from_numpy(weights).view(weight.shape), *by_tau]


def _once(results: list[Tensor], grads: tuple[Tensor, ...]) -> list[Tensor | None]:
    way = "Use the loss itself, not a function of its gradient."
    return differentiable_once("events.exact", way, results, grads)


def _leaves(current: Current, cells: Cells) -> tuple[Tensor, ...]:
    return current.times, current.synapses.weight, cells.tau_mem, cells.tau_syn


def _tangents(ctx: Any) -> bool:
    """Whether a time constant asks for a gradient."""
    return any(ctx.needs_input_grad[2:4])


def _array(gradient: Tensor) -> Floats:
    return np.ascontiguousarray(gradient.detach().numpy())


def _ones(readout: Readout) -> Floats:
    return np.ones((readout.batch, readout.neurons))


def _kernels() -> Any:
    return native(__package__ or "", "membrane")
