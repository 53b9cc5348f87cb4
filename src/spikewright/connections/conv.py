"""Convolution over the two axes of an image, at each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikewright.connections.base import positive, require_images
from spikewright.connections.weights import Weighted
from spikewright.engine.layer import Shape, State
from spikewright.errors import NetworkError, ParameterError

Pair = int | tuple[int, int]


class Conv2d(Weighted):
    """Convolve each step's image with learnable kernels: y[t] = W * x[t] + b.

    The options are those of ``torch.nn.Conv2d``.

    Args:
        in_channels: number of channels; ``None`` to take it from the first input shape.
        out_channels: number of kernels.
        kernel_size: (height, width) of a kernel, or one number for both.
        stride: pixels between two positions of the kernel.
        padding: rows and columns of zeros on each side, or "same" or "valid".
        dilation: pixels between two taps of the kernel.
        groups: number of blocks of channels that are convolved apart.
        bias: whether to add a learnable b, one a channel.

    Shapes: x (time, batch, in_channels, height, width) to (time, batch, out_channels, ...).
    ``weight`` is (out_channels, in_channels / groups, *kernel_size).

    Raises:
        ParameterError: an option is out of range.

    >>> y, state = Conv2d(1, 4, 3, padding=1)(torch.zeros(10, 2, 1, 8, 8))
    >>> y.shape
    torch.Size([10, 2, 4, 8, 8])
    """

    step_alone = True
    inputs_name = "in_channels"

    def __init__(  # noqa: PLR0913 - the signature everyone knows from torch
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.out_channels = positive("Conv2d", "out_channels", out_channels)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.padding = check_padding("Conv2d", padding)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = positive("Conv2d", "groups", groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels is not None and channels % groups:
                raise ParameterError(
                    f"Conv2d: {name} must be a multiple of groups={groups}, got {channels}. "
                    "Choose groups that divides both numbers of channels."
                )
        self.add_weights(in_channels, out_channels, bias)

    @property
    def in_channels(self) -> int | None:
        """Number of input channels; ``None`` while open."""
        return self.inputs

    def weight_shape(self, inputs: int) -> Shape:
        return (self.out_channels, inputs // self.groups, *self.kernel_size)

    def stored_inputs(self, shape: Shape) -> int:
        return shape[1] * self.groups

    def output_shape(self, shape: Shape) -> Shape:
        require_images("Conv2d", shape)
        self.check_inputs(shape)
        weight = torch.empty(self.weight_shape(shape[0]), device="meta")
        try:
            y = self._convolve(torch.empty(1, *shape, device="meta"), weight, None)
        except RuntimeError as cause:
            raise NetworkError(
                f"Conv2d: input features must be (channels, height, width) that {self} fits, "
                f"got {shape}. Use a smaller kernel, more padding or other groups."
            ) from cause
        return tuple(y.shape[1:])

    def prepare(self) -> None:
        assert self.shape is not None
        self.open(self.shape[0])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_steps(lambda rows: self._convolve(rows, self.weight, self.bias), x, state)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        for name, default in options.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return f"{text}, bias={self.bias is not None}"

    def _convolve(self, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding: Any = self.padding  # torch's overloads know no union
        options = (self.dilation, self.groups)
        return functional.conv2d(rows, weight, bias, self.stride, padding, *options)


def pair(where: str, name: str, value: Pair, least: int = 1) -> tuple[int, int]:
    """One number for both axes of an image, or a pair; raises ParameterError on others."""
    both: Any = value if isinstance(value, tuple | list) else (value, value)
    if len(both) == 2 and all(type(number) is int and number >= least for number in both):
        return (both[0], both[1])
    raise ParameterError(
        f"{where}: {name} must be an integer of {least} or more, or two of them, "
        f"got {value!r}. Pass one number for both axes, or (height, width)."
    )


def check_padding(where: str, padding: Pair | str) -> tuple[int, int] | str:
    """A pair of numbers of zeros, or one of torch's two words."""
    if not isinstance(padding, str):
        return pair(where, "padding", padding, least=0)
    if padding not in ("same", "valid"):
        raise ParameterError(
            f"{where}: padding must be a number, a pair, 'same' or 'valid', got {padding!r}. "
            "Pass for example padding=1."
        )
    return padding
