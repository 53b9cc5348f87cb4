"""The network in whole numbers run step by step: bit planes in, shift and add, bit planes out.

Each stage sees all T planes of its input, most significant first, before it gives its own: an
activation's first bit depends on the last bits of what it is made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.coding.radix import from_bits, to_bits
from spikewright.errors import CompileError
from spikewright.targets.fpga.fan_out import fan_out
from spikewright.targets.fpga.integer import (
    INPUT,
    Add,
    Convolution,
    Dense,
    Flatten,
    IntegerNetwork,
    MaxPool,
    Pair,
    Requantise,
    Stage,
    SumPool,
)
from spikewright.targets.fpga.walk import walk


@dataclass(frozen=True, eq=False)
class Shown:
    """What a stage does with a batch.

    Args:
        stage: of the network.
        values: whole numbers, int64: what the planes it sends stand for, or its sums.
        spikes: that it sends on, over the batch; 0 of sums.
        additions: that the spikes it receives cause, over the batch; see `fan_out`.
    """

    stage: Stage
    values: Tensor
    spikes: int
    additions: int


@dataclass(frozen=True, eq=False)
class _Signal:
    """Spikes (steps, batch, ...), or sums (batch, ...) that are handed on as they are."""

    planes: Tensor | None
    sums: Tensor | None = None

    @property
    def values(self) -> Tensor:
        if self.sums is not None:
            return self.sums
        assert self.planes is not None
        return from_bits(self.planes)


def run_spikes(network: IntegerNetwork, q: Tensor) -> Iterator[Shown]:
    """Each stage, step by step: the values equal those of ``network.walk``.

    Args:
        q: inputs, (batch, *shape) whole numbers from 0 to 2^bits - 1.

    Raises:
        CompileError: a stage that would have to read sums as spikes.

    >>> import torch
    >>> dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    >>> net = IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),))
    >>> (shown,) = run_spikes(net, torch.tensor([[3, 1]]))
    >>> shown.values.tolist(), shown.additions
    ([[1, 11]], 6)
    """

    def work(stage: Stage, given: tuple[_Signal, ...]) -> tuple[_Signal, Shown]:
        out = _stage(stage, given)
        sent = 0 if out.planes is None else int(out.planes.sum())
        return out, Shown(stage, out.values, sent, _additions(stage, given))

    first = _Signal(to_bits(network.checked(q).to(torch.int64), network.bits))
    return (shown for _, shown in walk(network.stages, {INPUT: first}, work))


def _stage(stage: Stage, given: tuple[_Signal, ...]) -> _Signal:
    operation = stage.operation
    if isinstance(operation, MaxPool):
        out = _Signal(_largest(_spikes(stage, given[0]), operation))
    elif isinstance(operation, Flatten):
        spikes, sums = given[0].planes, given[0].sums
        out = _Signal(None if spikes is None else spikes.flatten(2), _flat(sums))
    elif isinstance(operation, Add):
        out = _Signal(None, _added(operation, given))
    else:
        out = _Signal(None, _summed(stage, _spikes(stage, given[0])))
    if stage.requantise is None:
        return out
    return _Signal(to_bits(_requantised(out.values, stage.requantise), stage.requantise.bits))


def _flat(sums: Tensor | None) -> Tensor | None:
    return None if sums is None else sums.flatten(1)


def _spikes(stage: Stage, signal: _Signal) -> Tensor:
    if signal.planes is None:
        raise CompileError(
            f"fpga.spikes: stage {stage.name!r} must read activations, got the sums of "
            f"{stage.inputs[0]!r}. Requantise them first."
        )
    return signal.planes


def _summed(stage: Stage, spikes: Tensor) -> Tensor:
    """m <- 2 m + sum of the weights of the spikes, then the bias."""
    operation = stage.operation
    if isinstance(operation, SumPool):
        counts = _windows(spikes, operation.window, operation.stride, operation.padding)
        parts, bias = counts.sum((-2, -1)), 0
    else:
        assert isinstance(operation, Convolution | Dense)
        silent = replace(operation, bias=torch.zeros_like(operation.bias))
        # Sums of one plane are exact in float64, which has convolutions where int64 has none.
        each = [silent.accumulate((plane.double(),)).to(torch.int64) for plane in spikes]
        parts = torch.stack(each)
        bias = operation.bias.view(-1, *(1 for _ in parts.shape[3:]))
    m = torch.zeros_like(parts[0])
    for part in parts:
        m = 2 * m + part
    return m + bias


def _added(operation: Add, given: tuple[_Signal, ...]) -> Tensor:
    """m <- 2 m + sum of s_n 2^shift_n over the steps; sums come in with the last one."""
    steps = max((len(one.planes) for one in given if one.planes is not None), default=0)
    m = torch.zeros_like(given[0].values)
    for step in range(steps):
        m = 2 * m
        for one, shift in zip(given, operation.shifts, strict=True):
            # Numbers of fewer bits start later: all end with the bit for 1.
            place = step - steps + (0 if one.planes is None else len(one.planes))
            if one.planes is not None and place >= 0:
                m = m + (one.planes[place] << shift)
    for one, shift in zip(given, operation.shifts, strict=True):
        m = m if one.sums is None else m + (one.sums << shift)
    return m


def _largest(spikes: Tensor, pool: MaxPool) -> Tensor:
    """Bit by bit: who has a 0 where another one still in the race has a 1 is out of it."""
    windows = _windows(spikes, pool.window, pool.stride, pool.padding).bool()
    racing = torch.ones_like(windows[0])
    found: list[Tensor] = []
    for plane in windows:
        bit = (plane & racing).any(-1).any(-1)
        racing &= plane | ~bit[..., None, None]
        found.append(bit)
    return torch.stack(found).to(torch.int64)


def _windows(spikes: Tensor, window: Pair, stride: Pair, padding: Pair) -> Tensor:
    """(steps, batch, channels, rows, columns) to (..., *window); what lies outside is silent."""
    padded = functional.pad(spikes, (padding[1], padding[1], padding[0], padding[0]))
    return padded.unfold(-2, window[0], stride[0]).unfold(-2, window[1], stride[1])


def _requantised(m: Tensor, form: Requantise) -> Tensor:
    """ReLU, shift, the rounding bit, and only then the range."""
    m, shift = m.clamp(min=0), min(form.shift, 62)
    if shift <= 0:
        return (m << -shift).clamp(max=form.most)
    return ((m >> shift) + ((m >> (shift - 1)) & 1)).clamp(max=form.most)


def _additions(stage: Stage, given: tuple[_Signal, ...]) -> int:
    total = 0
    for one in given:
        if one.planes is not None:
            spikes = one.planes.sum((0, 1))  # by place
            total += int((spikes * fan_out(stage.operation, tuple(spikes.shape))).sum())
    return total
