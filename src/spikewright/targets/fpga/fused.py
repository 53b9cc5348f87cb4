"""The fast way through an `IntegerNetwork`: the same numbers in fewer passes over the memory.

- A shift by k is put into the weights and the half into the bias, so that a product gives
  m / 2^k + 1/2 at once; only floor and clip are left. Powers of two change no digit.
- Floor and clip keep an order, so a max pooling behind them may come before: they then work on a
  quarter of the numbers.
- Samples are worked out in parts that stay in the cache.
- A convolution with little work is done in float64, for which PyTorch has a way that starts sooner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from spikewright.targets.fpga.integer import (
    FLOAT32,
    FLOAT64,
    INPUT,
    Convolution,
    Dense,
    IntegerNetwork,
    MaxPool,
    Operation,
    Requantise,
    Stage,
    exact_format,
    in_format,
)
from spikewright.targets.fpga.shapes import output_shapes
from spikewright.targets.fpga.walk import last_readers

PART = 1 << 20
"""Numbers of the largest map that are worked out at once: 4 MB."""
LITTLE = 400_000
"""Multiplications of a convolution that are done sooner than oneDNN has begun."""
BEGINS_LATE = 4
"""Side of the smallest kernel that PyTorch hands to oneDNN even if the work is little."""


@dataclass(frozen=True, eq=False)
class Fused:
    """One or two stages: sums, a pooling of them, and what becomes of the result.

    Args:
        name: of the last of the stages; inputs: see `Stage`.
        operation: its weights in the format that is worked in.
        exact: that format.
        pool: behind the operation, before its sums are requantised.
        requantise: of sums as they are.
        most: of sums that are already divided, with the half added: they are rounded down and
            clipped to 0 .. most.
        small: the operation in float64, of a convolution that takes ``work`` multiplications a
            sample: batches with at most ``LITTLE`` of them are faster that way.
    """

    name: str
    inputs: tuple[str, ...]
    operation: Operation
    exact: torch.dtype
    pool: MaxPool | None = None
    requantise: Requantise | None = None
    most: int | None = None
    small: Convolution | None = None
    work: int = 0

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the stages give."""
        operation, exact = self.operation, self.exact
        if self.small is not None and len(inputs[0]) * self.work <= LITTLE:
            operation, exact = self.small, torch.float64
        m = operation.accumulate(tuple([in_format(each, exact) for each in inputs]))
        if self.pool is not None:
            m = self.pool.accumulate((m,))
        if self.most is not None:
            return m.floor_().clamp_(0, self.most)  # sums of a product are nobody else's
        return self.requantise(m) if self.requantise else m


@dataclass(frozen=True, eq=False)
class Plan:
    """A network's fused stages, and how many samples are worked out at once.

    Args:
        last: by stage, the names that nobody reads after it.
    """

    stages: tuple[Fused, ...]
    part: int
    last: tuple[tuple[str, ...], ...]

    def run(self, q: Tensor) -> Tensor:
        """See `IntegerNetwork.run`; of inputs that were checked."""
        with torch.inference_mode():
            if len(q) <= self.part:
                out = self._run(q)
            else:
                out = torch.cat([self._run(part) for part in q.split(self.part)])
        return out.to(torch.int64)  # out here, as an ordinary tensor that others may train with

    def _run(self, q: Tensor) -> Tensor:
        values = {INPUT: q}
        for stage, forgotten in zip(self.stages, self.last, strict=True):
            values[stage.name] = stage(tuple([values[name] for name in stage.inputs]))
            for name in forgotten:
                del values[name]
        return values[self.stages[-1].name]


def plan(network: IntegerNetwork) -> Plan:
    """The fast way through a network.

    >>> pool = Stage("pool", ("a",), MaxPool((2, 2), (2, 2)))
    >>> weight, bias = torch.ones(1, 1, 1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    >>> net = IntegerNetwork((1, 2, 2), 3, (
    ...     Stage("a", (INPUT,), Convolution(weight, bias), Requantise(1, 2)), pool))
    >>> [stage.name for stage in plan(net).stages]
    ['pool']
    >>> plan(net).run(torch.tensor([[[[1.0, 4.0], [3.0, 0.0]]]])).tolist()
    [[[[2]]]]
    """
    readers, shapes = _readers(network.stages), output_shapes(network)
    stages = list[Fused]()
    for stage in network.stages:
        before = stages[-1] if stages else None
        if (
            before is not None
            and readers.get(before.name) == (stage.name,)
            and _merges(before, stage)
        ):
            stages[-1] = replace(before, name=stage.name, pool=stage.operation)
        else:
            stages.append(_fused(stage, network.bounds[stage.name], shapes[stage.name]))
    largest = max(map(prod, (network.shape, *shapes.values())))
    last = last_readers(stages)
    forgotten = ({name for name in stage.inputs if last[name] == stage.name} for stage in stages)
    return Plan(tuple(stages), max(1, PART // max(1, largest)), tuple(map(tuple, forgotten)))


def _readers(stages: Sequence[Stage]) -> Mapping[str, tuple[str, ...]]:
    """By the name of what is read, the stages that read it."""
    found: dict[str, tuple[str, ...]] = {}
    for stage in stages:
        for name in stage.inputs:
            found[name] = (*found.get(name, ()), stage.name)
    return found


def _merges(before: Fused, stage: Stage) -> bool:
    """Whether a stage is a pooling that may come before the rounding of the one before it."""
    if before.most is None or before.pool is not None:
        return False
    return isinstance(stage.operation, MaxPool) and stage.requantise is None


def _fused(stage: Stage, bound: int, shape: tuple[int, ...]) -> Fused:
    exact, it, form = exact_format(bound), stage.operation, stage.requantise
    if not isinstance(it, Convolution | Dense):
        return Fused(stage.name, stage.inputs, it, exact, requantise=form)
    weight, bias = it.weight.to(exact), it.bias.to(exact)
    most = FLOAT32 if exact == torch.float32 else FLOAT64
    if form is None or form.shift < 1 or bound + 2 ** (form.shift - 1) > most:
        made = replace(it, weight=weight, bias=bias)
        return _begun_soon(Fused(stage.name, stage.inputs, made, exact, requantise=form), shape)
    unit = 2.0**-form.shift
    made = replace(it, weight=weight * unit, bias=bias * unit + 0.5)
    return _begun_soon(Fused(stage.name, stage.inputs, made, exact, most=form.most), shape)


def _begun_soon(stage: Fused, shape: tuple[int, ...]) -> Fused:
    """With the operation in float64 too, if it is a convolution that may have little work."""
    it = stage.operation
    if not isinstance(it, Convolution) or it.groups > 1 or max(it.weight.shape[2:]) < BEGINS_LATE:
        return stage
    work = it.weight.numel() * shape[1] * shape[2]
    if work > LITTLE:
        return stage
    return replace(
        stage, work=work, small=replace(it, weight=it.weight.double(), bias=it.bias.double())
    )
