"""Pooling over the two axes of an image, at each step."""

from __future__ import annotations

import math
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import Connection, check_state, fold, require_axes
from spikewright.connections.conv import Numbers, numbers
from spikewright.engine.layer import Shape, State
from spikewright.engine.products.geometry import Convolution, convolution
from spikewright.engine.products.pool import Windows, can_pool, pool, traced_pool
from spikewright.engine.program import Maximum, WindowSum
from spikewright.engine.traced import is_traced
from spikewright.errors import BackendError, NetworkError, ParameterError


class Pool2d(Connection):
    """Base of the pooling layers: one number from each window of each channel.

    Args:
        kernel_size: (height, width) of the window, or one number for both.
        stride: pixels between two windows; ``None`` for the window's own size.
        padding: rows and columns added on each side, at most half the window.

    Shapes: x (time, batch, channels, height, width) to the same with fewer pixels.

    Raises:
        ParameterError: a size is no positive integer, or the padding is too large.
    """

    step_alone = True

    def __init__(
        self, kernel_size: Numbers, stride: Numbers | None = None, padding: Numbers = 0
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.kernel_size = numbers(where, "kernel_size", kernel_size, 2)
        self.stride = self.kernel_size if stride is None else numbers(where, "stride", stride, 2)
        self.padding = numbers(where, "padding", padding, 2, least=0)
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ParameterError(
                f"{where}: padding must be at most half of kernel_size={self.kernel_size}, "
                f"got {self.padding}. Use less padding or a larger window."
            )

    def pool(self, rows: Tensor) -> Tensor:
        """Pool images: (n, channels, height, width) to the same with fewer pixels."""
        raise NotImplementedError

    def windows(self) -> Windows:
        """The windows, and what becomes of the values in one."""
        raise NotImplementedError

    def output_shape(self, shape: Shape) -> Shape:
        require_axes(type(self).__name__, shape, 2)
        try:
            return tuple(self.pool(torch.empty(1, *shape, device="meta")).shape[1:])
        except RuntimeError as cause:
            raise NetworkError(
                f"{type(self).__name__}: input features must be (channels, height, width) with "
                f"room for a window of {self.kernel_size}, got {shape}. Use a smaller window."
            ) from cause

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        return self.map_sequence(self._pool, x, state)

    def reads_events(self) -> bool:
        return self.padding == (0, 0)

    def choice(self, x: Tensor) -> str:
        """How the pooling of ``x`` runs."""
        own = self.reads_events() and can_pool(x, self.windows())
        return "cpu (the input is spikes)" if own else "torch (all steps in one call)"

    def _pool(self, x: Tensor) -> Tensor:
        if self.reads_events() and is_traced(x):
            return traced_pool(x, self.windows())
        if self.reads_events() and can_pool(x, self.windows()):
            return pool(x, self.windows())
        return fold(self.pool, x)

    def geometry(self) -> Convolution:
        """The windows as those of a convolution of each channel by itself."""
        assert self.shape is not None
        channels = self.shape[0]
        weight = (channels, 1, *self.kernel_size)
        return convolution(self.shape, weight, self.stride, self.padding, (1, 1), channels)

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}"
        if self.stride != self.kernel_size:
            text += f", stride={self.stride}"
        return text + (f", padding={self.padding}" if self.padding != (0, 0) else "")


class AvgPool2d(Pool2d):
    """Mean over each window; padding counts as zeros. See ``Pool2d`` for the options.

    >>> AvgPool2d(2)(torch.ones(1, 1, 1, 2, 2))[0].flatten()
    tensor([1.])
    """

    def pool(self, rows: Tensor) -> Tensor:
        return functional.avg_pool2d(rows, self.kernel_size, self.stride, self.padding)

    def windows(self) -> Windows:
        return Windows(self.kernel_size, self.stride, math.prod(self.kernel_size))

    def part(self) -> WindowSum:
        return WindowSum(self.geometry(), 1 / math.prod(self.kernel_size))


class SumPool2d(Pool2d):
    """Sum over each window: the number of its spikes. See ``Pool2d`` for the options.

    >>> SumPool2d(2)(torch.ones(1, 1, 1, 2, 2))[0].flatten()
    tensor([4.])
    """

    def pool(self, rows: Tensor) -> Tensor:
        options = (self.kernel_size, self.stride, self.padding)
        return functional.avg_pool2d(rows, *options, divisor_override=1)

    def windows(self) -> Windows:
        return Windows(self.kernel_size, self.stride, 1)

    def part(self) -> WindowSum:
        return WindowSum(self.geometry(), 1.0)


class MaxPool2d(Pool2d):
    """Largest value of each window: for spikes 0 and 1, whether any input spiked.

    The gradient goes to the largest value, to the first of several equal ones. See ``Pool2d``
    for the options.

    >>> MaxPool2d(2)(torch.eye(2).reshape(1, 1, 1, 2, 2))[0].flatten()
    tensor([1.])
    """

    def pool(self, rows: Tensor) -> Tensor:
        return functional.max_pool2d(rows, self.kernel_size, self.stride, self.padding)

    def windows(self) -> Windows:
        return Windows(self.kernel_size, self.stride, 0)

    def part(self) -> Maximum:
        return Maximum(self.geometry())


class RateMaxPool2d(Pool2d):
    """As many spikes of each window as its busiest input has had so far.

    N[t] = N[t-1] + x[t], y[t] = max over the window of N[t] - max over the window of N[t-1].
    Inputs of 0 and 1 give outputs of 0 and 1, whose rate is the largest rate of the window: what
    `MaxPool2d` of activations becomes in rates. `MaxPool2d` of spikes passes any, and more.
    Order: a spike of the busiest input passes in its own step.

    See ``Pool2d`` for the options. State: the counts N, (batch, *features), zeros at a fresh
    start; whole numbers are exact up to 2^24 in float32. It is not compiled for targets.

    Raises:
        ShapeError: a state of another shape.

    Source: the maximum of rates as a running one is after Rueckauer et al. 2017, Front. Neurosci.
    11:682, who let the input of the largest running rate pass.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # by step, two inputs
    >>> RateMaxPool2d((1, 2))(x.reshape(4, 1, 1, 1, 2))[0].flatten()
    tensor([1., 0., 1., 0.])
    """

    step_alone = False

    def pool(self, rows: Tensor) -> Tensor:
        return functional.max_pool2d(rows, self.kernel_size, self.stride, self.padding)

    def reads_events(self) -> bool:
        return False

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, Tensor]:
        x = self.accept(x)
        check_state("RateMaxPool2d", state, tuple(x.shape[1:]), "counts (batch, *features)")
        before = torch.zeros_like(x[0]) if state is None else state.to(x)
        counts = torch.cat([before[None], before + x.cumsum(0)])
        return fold(self.pool, counts).diff(dim=0), counts[-1]

    def initial_state(self, batch: int) -> Tensor:
        assert self.shape is not None
        return torch.zeros(batch, *self.shape)

    def part(self) -> NoReturn:
        raise BackendError(
            "RateMaxPool2d: the layer must be one that can be compiled, got a maximum of counts. "
            "Use AvgPool2d, or MaxPool2d, which passes any spike of a window."
        )
