"""The same network with its activations sent as numbers of spikes: T steps give T + 1 levels.

Activations n of 0 .. T stand for n (2^bits - 1) / T of the network's own. Neurons integrate and
fire with the thresholds of the shifts, and start at half of them, so that counts are rounded to
the nearest; a layer sees all steps before it gives its own. As the order of the spikes does not
matter to their sum, all steps are worked out at once, in whole numbers. With T = 2^bits - 1 both
codes give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from spikewright.errors import ParameterError
from spikewright.targets.fpga.fan_out import fan_out
from spikewright.targets.fpga.inputs import real_inputs
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    IntegerNetwork,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.spikes import Shown
from spikewright.targets.fpga.walk import walk

_Counts = tuple[Tensor, int | None]
"""Spikes of each number and the activation that all steps stand for; or sums, and ``None``."""


def run_rates(network: IntegerNetwork, x: Tensor, steps: int) -> Iterator[Shown]:
    """Each stage with rate-coded spikes.

    ``values`` are numbers of spikes, 0 .. steps; of stages that do not requantise they are sums
    times ``steps``, whose largest is the class.

    Args:
        x: inputs in real numbers, (batch, *features).
        steps: T, at least 1.

    Raises:
        ParameterError: no step.

    >>> dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    >>> net = IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),))
    >>> (shown,) = run_rates(net, torch.tensor([[3.0, 1.0]]), steps=6)
    >>> shown.values / 6
    tensor([[ 1., 11.]])
    """
    if type(steps) is not int or steps < 1:
        raise ParameterError(
            f"fpga.rates: steps must be a whole number from 1 on, got {steps!r}. Try 15."
        )

    def work(stage: Stage, given: tuple[_Counts, ...]) -> tuple[_Counts, Shown]:
        values, top = _stage(stage, given, steps)
        if stage.requantise is not None:
            values, top = _fired(values, stage.requantise, steps), stage.requantise.most
        sent = 0 if top is None else int(values.sum())
        return (values, top), Shown(stage, values, sent, _additions(stage, given))

    first: _Counts = (rate_levels(network, x, steps), 2**network.bits - 1)
    return (shown for _, shown in walk(network.stages, {INPUT: first}, work))


def rate_levels(network: IntegerNetwork, x: Tensor, steps: int) -> Tensor:
    """How many of the steps each input spikes at, (batch, *shape) int64.

    n = clip(floor(x T / (scale (2^bits - 1)) + 1/2), 0, T).

    Raises:
        ShapeError: see `encode`.
    """
    top = network.scale * (2**network.bits - 1)
    levels = real_inputs(network, x) * (steps / top)
    return torch.floor(levels + 0.5).clamp(0, steps).to(torch.int64)


def _stage(stage: Stage, given: tuple[_Counts, ...], steps: int) -> _Counts:
    """Counts and their largest activation, or sums times ``steps`` and ``None``."""
    operation, (first, most) = stage.operation, given[0]
    if isinstance(operation, Add):
        alike = [n if top is None else n * top for n, top in given]
        return sum((n << k for n, k in zip(alike, operation.shifts, strict=True)), 0 * first), None
    if isinstance(operation, Convolution | Dense):
        silent = replace(operation, bias=torch.zeros_like(operation.bias))
        sums = silent.accumulate((first.double(),)).to(torch.int64) * (most or 1)
        return sums + steps * operation.bias.view(-1, *(1 for _ in sums.shape[2:])), None
    values = operation.accumulate((first.double(),)).to(torch.int64)
    return (values * (most or 1), None) if isinstance(operation, SumPool) else (values, most)


def _fired(sums: Tensor, form: Requantise, steps: int) -> Tensor:
    """Spikes of neurons with a threshold of most 2^shift and half of it from the start."""
    scaled, threshold = sums << max(-form.shift, 0), form.most << max(form.shift, 0)
    return ((2 * scaled + threshold) // (2 * threshold)).clamp(0, steps)


def _additions(stage: Stage, given: tuple[_Counts, ...]) -> int:
    each = (
        int((n.sum(0) * fan_out(stage.operation, tuple(n.shape[1:]))).sum())
        for n, top in given
        if top is not None
    )
    return sum(each)
