"""The fast way through an `IntegerNetwork`: the same numbers in fewer passes over the memory.

- A shift by k is put into the weights and the half into the bias, so that a product gives
  m / 2^k + 1/2 at once; only floor and clip are left. Powers of two change no digit.
- Floor and clip keep an order, so a max pooling behind them may come before: they then work on a
  quarter of the numbers.
- Samples are worked out in parts that stay in the cache.
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
)
from spikewright.targets.fpga.shapes import output_shapes
from spikewright.targets.fpga.walk import walk

PART = 1 << 20
"""Numbers of the largest map that are worked out at once: 4 MB."""


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
    """

    name: str
    inputs: tuple[str, ...]
    operation: Operation
    exact: torch.dtype
    pool: MaxPool | None = None
    requantise: Requantise | None = None
    most: int | None = None

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the stages give."""
        m = self.operation.accumulate(tuple(each.to(self.exact) for each in inputs))
        if self.pool is not None:
            m = self.pool.accumulate((m,))
        if self.most is not None:
            return m.floor_().clamp_(0, self.most)  # sums of a product are nobody else's
        return self.requantise(m) if self.requantise else m


@dataclass(frozen=True, eq=False)
class Plan:
    """A network's fused stages, and how many samples are worked out at once."""

    stages: tuple[Fused, ...]
    part: int

    def run(self, q: Tensor) -> Tensor:
        """See `IntegerNetwork.run`; of inputs that were checked."""
        return torch.cat([self._run(part) for part in q.split(self.part)])

    def _run(self, q: Tensor) -> Tensor:
        def work(stage: Fused, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            out = stage(inputs)
            return out, out

        *_, (_, out) = walk(self.stages, {INPUT: q}, work)
        return out.to(torch.int64)


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
    readers = _readers(network.stages)
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
            stages.append(_fused(stage, network.bounds[stage.name]))
    largest = max(map(prod, (network.shape, *output_shapes(network).values())))
    return Plan(tuple(stages), max(1, PART // max(1, largest)))


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


def _fused(stage: Stage, bound: int) -> Fused:
    exact, it, form = exact_format(bound), stage.operation, stage.requantise
    if not isinstance(it, Convolution | Dense):
        return Fused(stage.name, stage.inputs, it, exact, requantise=form)
    weight, bias = it.weight.to(exact), it.bias.to(exact)
    most = FLOAT32 if exact == torch.float32 else FLOAT64
    if form is None or form.shift < 1 or bound + 2 ** (form.shift - 1) > most:
        made = replace(it, weight=weight, bias=bias)
        return Fused(stage.name, stage.inputs, made, exact, requantise=form)
    unit = 2.0**-form.shift
    made = replace(it, weight=weight * unit, bias=bias * unit + 0.5)
    return Fused(stage.name, stage.inputs, made, exact, most=form.most)
