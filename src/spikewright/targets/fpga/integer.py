"""A network in whole numbers: what the accelerator computes, and the judge of everything else.

An activation q in 0 .. 2^T - 1 is sent as T spikes, its bits, most significant first. A layer adds
up m <- 2 m + sum_i w_i s_i(t) over the steps, so that after the last one m = sum_i w_i q_i; bias,
ReLU and a shift make the next activation of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.errors import CompileError, ShapeError
from spikewright.targets.core.whole_products import conv2d, linear
from spikewright.targets.fpga.walk import walk

if TYPE_CHECKING:
    from spikewright.targets.fpga.fused import Plan

INPUT = "input"
"""Name that stages call the network's input by."""
FLOAT32, FLOAT64 = 2**24, 2**53
"""Whole numbers up to these, and all sums of such that stay there, are exact in the format."""
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Convolution:
    """m[o] = bias[o] + sum of weight[o, c, i, j] q[c, y sy + i - py, x sx + j - px].

    Args:
        weight: (outputs, inputs / groups, rows, columns) int64; bias: (outputs,) int64.
        stride, padding: rows and columns; what lies outside is 0.
        groups: of channels that see each other only; as many as channels is depthwise.
    """

    weight: Tensor
    bias: Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, inputs, rows, columns) to (batch, outputs, rows, columns)."""
        (q,) = inputs
        return conv2d(q, *_parts(self, q.dtype), self.stride, self.padding, self.groups)

    def bound(self, most: tuple[int, ...]) -> int:
        """No sum, in no order, leaves -bound .. bound for activations up to ``most``."""
        return _bound(self.weight, self.bias, most[0])


@dataclass(frozen=True, eq=False)
class Dense:
    """m[o] = bias[o] + sum_i weight[o, i] q[i]; weight: (outputs, inputs) int64."""

    weight: Tensor
    bias: Tensor

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, inputs) to (batch, outputs)."""
        (q,) = inputs
        return linear(q, *_parts(self, q.dtype))

    def bound(self, most: tuple[int, ...]) -> int:
        """See `Convolution.bound`."""
        return _bound(self.weight, self.bias, most[0])


@dataclass(frozen=True)
class MaxPool:
    """The largest activation of each window; what lies outside is 0."""

    window: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, channels, rows, columns), likewise smaller."""
        (q,) = inputs
        sides = zip(q.shape[2:], self.window, strict=True)
        if any(self.padding) or any(side < window for side, window in sides):
            return functional.max_pool2d(q, self.window, self.stride, self.padding)
        # Many times faster than max_pool2d, which also looks for where the largest is.
        q = _largest(q, 2, self.window[0], self.stride[0])
        return _largest(q, 3, self.window[1], self.stride[1])

    def bound(self, most: tuple[int, ...]) -> int:
        """See `Convolution.bound`."""
        return most[0]


@dataclass(frozen=True)
class SumPool:
    """The sum of each window; its share in the scale makes an average of it."""

    window: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """(batch, channels, rows, columns), likewise smaller."""
        (q,) = inputs
        return functional.avg_pool2d(q, self.window, self.stride, self.padding, divisor_override=1)

    def bound(self, most: tuple[int, ...]) -> int:
        """See `Convolution.bound`."""
        return most[0] * self.window[0] * self.window[1]


@dataclass(frozen=True)
class Add:
    """m = sum_n q_n 2^shift_n: a residual path, whose inputs have different scales."""

    shifts: tuple[int, ...]

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Inputs of one shape."""
        return torch.stack([q * 2**k for q, k in zip(inputs, self.shifts, strict=True)]).sum(0)

    def bound(self, most: tuple[int, ...]) -> int:
        """See `Convolution.bound`."""
        return sum(top << k for top, k in zip(most, self.shifts, strict=True))


@dataclass(frozen=True)
class Flatten:
    """(batch, channels, rows, columns) to (batch, features), the last axis the fastest."""

    def accumulate(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """See the class."""
        return inputs[0].flatten(1)

    def bound(self, most: tuple[int, ...]) -> int:
        """See `Convolution.bound`."""
        return most[0]


Operation = Convolution | Dense | MaxPool | SumPool | Add | Flatten


@dataclass(frozen=True)
class Requantise:
    """From an accumulator to an activation: q = clip(floor(m / 2^shift + 1/2), 0, 2^bits - 1).

    Half is rounded up, what is negative is 0 (ReLU), and what is too large is the largest: the
    range is looked at after rounding. A negative shift multiplies.

    >>> Requantise(2, 3)(torch.tensor([-9., 1., 2., 5., 6., 40.])).tolist()
    [0.0, 0.0, 1.0, 1.0, 2.0, 7.0]
    """

    shift: int
    bits: int

    def __post_init__(self) -> None:
        if type(self.shift) is not int or type(self.bits) is not int or not 1 <= self.bits <= 52:
            raise CompileError(
                "fpga.Requantise: shift must be a whole number and bits one from 1 to 52, got "
                f"{self.shift!r} and {self.bits!r}. Use 4 bits."
            )

    @property
    def most(self) -> int:
        """The largest activation."""
        return 2**self.bits - 1

    def __call__(self, m: Tensor) -> Tensor:
        """Exact where m and 2 m are."""
        return self.rounded(m).clamp(0, self.most)

    def rounded(self, m: Tensor) -> Tensor:
        """Before the range is looked at."""
        return torch.floor(m * 2.0**-self.shift + 0.5)


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of the network: an operation on earlier stages and what becomes of its sums.

    Args:
        name: of the stage.
        inputs: names of earlier stages, or ``INPUT``.
        operation: see above.
        requantise: ``None`` leaves what the operation gives: of a `MaxPool` or `Flatten` that is
            an activation still; of others it is the network's output.
        scale: what 1 stands for in the output of this stage, in the trained network's numbers.
    """

    name: str
    inputs: tuple[str, ...]
    operation: Operation
    requantise: Requantise | None = None
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Stages in the order they are worked out; the last one is the output.

    Args:
        shape: of an input, (channels, rows, columns) or (features,).
        bits: T of the input, whose numbers are 0 .. 2^bits - 1.
        stages: at least one.
        scale: what 1 stands for in the input.

    Raises:
        CompileError: a sum could leave the range in which whole numbers are exact, or stages do
            not fit together.

    >>> import torch
    >>> dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    >>> net = IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),))
    >>> net.run(torch.tensor([[3, 1]]))
    tensor([[ 1, 11]])
    """

    shape: tuple[int, ...]
    bits: int
    stages: tuple[Stage, ...]
    scale: float = 1.0

    def __post_init__(self) -> None:
        known = {INPUT}
        for stage in self.stages:
            missing = [name for name in stage.inputs if name not in known]
            if missing or stage.name in known:
                raise CompileError(
                    f"fpga.integer: stage {stage.name!r} must have a new name and earlier inputs, "
                    f"got {', '.join(stage.inputs)}. Put the stages in the order of their work."
                )
            known.add(stage.name)
        lifted = {
            stage.name: max(0, -stage.requantise.shift) for stage in self.stages if stage.requantise
        }
        for name, bound in self.bounds.items():
            if 2 * bound << lifted.get(name, 0) > FLOAT64:
                raise CompileError(
                    f"fpga.integer: sums of stage {name!r} must stay below 2^52, got up to "
                    f"{bound:,}. Use fewer bits of weights or activations, or a smaller layer."
                )

    @cached_property
    def most(self) -> Mapping[str, int]:
        """The largest activation that each stage, and the input, can give."""
        most = {INPUT: 2**self.bits - 1}
        for stage in self.stages:
            bound = stage.operation.bound(tuple(most[name] for name in stage.inputs))
            most[stage.name] = stage.requantise.most if stage.requantise else bound
        return most

    @cached_property
    def bounds(self) -> Mapping[str, int]:
        """By stage, what no sum exceeds, for whatever input."""
        return {
            stage.name: stage.operation.bound(tuple(self.most[name] for name in stage.inputs))
            for stage in self.stages
        }

    def run(self, q: Tensor) -> Tensor:
        """The output's sums, (batch, ...) int64, of inputs 0 .. 2^bits - 1, (batch, *shape)."""
        self.check(q)
        return self._plan.run(q)

    @cached_property
    def _plan(self) -> Plan:
        from spikewright.targets.fpga.fused import plan

        return plan(self)

    def walk(self, q: Tensor) -> Iterator[tuple[Stage, Tensor]]:
        """Each stage and what it gives, whole numbers held in a floating format that is exact.

        Raises:
            ShapeError: another shape, or numbers that are not whole or out of range.
        """
        return ((stage, out) for stage, (_, out) in self.watch(q))

    def watch(self, q: Tensor) -> Iterator[tuple[Stage, tuple[Tensor, Tensor]]]:
        """Each stage, with its sums before they are requantised and what it gives; see `walk`."""

        def work(stage: Stage, inputs: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            exact = exact_format(self.bounds[stage.name])
            m = stage.operation.accumulate(tuple(each.to(exact) for each in inputs))
            out = stage.requantise(m) if stage.requantise else m
            return out, (m, out)

        return walk(self.stages, {INPUT: self.checked(q)}, work)

    def checked(self, q: Tensor) -> Tensor:
        """Inputs as float32; see `check`."""
        self.check(q)
        return q.to(torch.float32)

    def check(self, q: Tensor) -> None:
        """Whether these are inputs.

        Raises:
            ShapeError: another shape, or numbers that are not whole or out of range.
        """
        most = 2**self.bits - 1
        if q.shape[1:] != self.shape or not _whole(q, most):
            raise ShapeError(
                f"fpga.integer: input must be whole numbers from 0 to {most}, (batch, "
                f"{', '.join(map(str, self.shape))}), got {tuple(q.shape)} of {q.dtype}. "
                "Encode it first."
            )


def in_format(x: Tensor, exact: torch.dtype) -> Tensor:
    """The tensor in a format; itself at once if it has that."""
    return x if x.dtype == exact else x.to(exact)


def exact_format(bound: int) -> torch.dtype:
    """The faster format in which sums up to a bound, and twice that, are exact."""
    return torch.float32 if 2 * bound <= FLOAT32 else torch.float64


def _parts(operation: Convolution | Dense, exact: torch.dtype) -> tuple[Tensor, Tensor]:
    return in_format(operation.weight, exact), in_format(operation.bias, exact)


def _largest(q: Tensor, axis: int, window: int, stride: int) -> Tensor:
    """The largest of each window along one axis."""
    return reduce(torch.maximum, q.unfold(axis, window, stride).unbind(-1))


def _whole(q: Tensor, most: int) -> bool:
    """Whether all numbers are whole and from 0 to a largest."""
    if not q.numel():
        return True
    least, largest = (float(each) for each in q.detach().aminmax())
    within = least >= 0 and largest <= most  # neither of them if there is a NaN
    return within and (not q.is_floating_point() or bool((q == q.floor()).all()))


def _bound(weight: Tensor, bias: Tensor, most: int) -> int:
    if not weight.numel():
        return 0
    each = weight.abs().flatten(1).sum(1) * most + bias.abs()
    return int(each.max())
