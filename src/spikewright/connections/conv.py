"""Convolution over one axis or the two axes of an image, at each step."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from spikewright.connections.base import AXES, positive, require_axes
from spikewright.connections.weights import Weighted
from spikewright.engine import program
from spikewright.engine.layer import Shape, State
from spikewright.engine.products import conv
from spikewright.engine.products.costs import Path, check_path, costs_in_force
from spikewright.engine.products.geometry import Convolution, convolution
from spikewright.errors import NetworkError, ParameterError

Numbers = int | tuple[int, ...]


class Conv(Weighted):
    """Base of the convolutions. The options are those of torch's own layers.

    Args:
        in_channels: number of channels; ``None`` to take it from the first input shape.
        out_channels: number of kernels.
        kernel_size: of a kernel along each axis, or one number for all axes.
        stride: pixels between two positions of the kernel.
        padding: zeros on each side, or "same" or "valid".
        dilation: pixels between two taps of the kernel.
        groups: number of blocks of channels that are convolved apart.
        bias: whether to add a learnable b, one a channel.
        path: ``"dense"``, ``"events"`` (where the input is spikes) or ``"auto"``, the cheaper
            one by the table of costs in force; see `choice`.

    Raises:
        ParameterError: an option is out of range.
    """

    step_alone = True
    inputs_name = "in_channels"
    axes: ClassVar[int]

    def __init__(  # noqa: PLR0913 - the signature everyone knows from torch
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Numbers,
        *,
        stride: Numbers = 1,
        padding: Numbers | str = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        bias: bool = True,
        path: Path = "auto",
    ) -> None:
        super().__init__()
        where, axes = type(self).__name__, self.axes
        self.out_channels = positive(where, "out_channels", out_channels)
        self.kernel_size = numbers(where, "kernel_size", kernel_size, axes)
        self.stride = numbers(where, "stride", stride, axes)
        self.padding = check_padding(where, padding, axes)
        self.dilation = numbers(where, "dilation", dilation, axes)
        self.groups = positive(where, "groups", groups)
        self.path: Path = check_path(where, path)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels is not None and channels % groups:
                raise ParameterError(
                    f"{where}: {name} must be a multiple of groups={groups}, got {channels}. "
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
        where = type(self).__name__
        require_axes(where, shape, self.axes)
        self.check_inputs(shape)
        geometry = self.geometry(shape)
        fits = all(axis.outputs > 0 for axis in geometry.axes) and not shape[0] % self.groups
        if not fits or (self.padding == "same" and max(self.stride) > 1):
            raise NetworkError(
                f"{where}: input features must be (channels, {AXES[self.axes]}) that {self} fits, "
                f"got {shape}. Use a smaller kernel, more padding or other groups."
            )
        return geometry.shape

    def prepare(self) -> None:
        assert self.shape is not None
        self.open(self.shape[0])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_sequence(self._convolve, x, state)

    def choice(self, x: Tensor) -> conv.Way:
        """How the convolution of ``x`` runs, and why."""
        x = self.accept(x)
        return conv.choose_way(x, self.weight, self._bound_geometry(), self.path)

    def reads_events(self) -> bool:
        if self.path != "auto" or self.shape is None:
            return self.path == "events"
        return conv.size_of(self.geometry(self.shape), 1).worth_reading(costs_in_force())

    def geometry(self, shape: Shape) -> Convolution:
        """The shapes of the convolution of features of ``shape``."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return convolution(tuple(shape), self.weight_shape(shape[0]), *options)

    def part(self) -> program.Convolution:
        return program.Convolution(self.weight, self.bias, self._bound_geometry())

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        ones, zeros = (1,) * self.axes, (0,) * self.axes
        options = {"stride": ones, "padding": zeros, "dilation": ones, "groups": 1}
        for name, default in options.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        path = "" if self.path == "auto" else f", path={self.path!r}"
        return f"{text}, bias={self.bias is not None}{path}"

    def _bound_geometry(self) -> Convolution:
        assert self.shape is not None
        return self.geometry(self.shape)

    def _convolve(self, x: Tensor) -> Tensor:
        return conv.convolve(x, self.weight, self.bias, self._bound_geometry(), self.path)


class Conv1d(Conv):
    """Convolve each step's line of values with learnable kernels: y[t] = W * x[t] + b.

    The options are those of ``torch.nn.Conv1d``; see `Conv`.

    Shapes: x (time, batch, in_channels, length) to (time, batch, out_channels, ...).
    ``weight`` is (out_channels, in_channels / groups, kernel_size).

    Raises:
        ParameterError: an option is out of range.

    >>> import torch
    >>> y, state = Conv1d(1, 4, 3, padding=1)(torch.zeros(10, 2, 1, 8))
    >>> y.shape
    torch.Size([10, 2, 4, 8])
    """

    axes = 1


class Conv2d(Conv):
    """Convolve each step's image with learnable kernels: y[t] = W * x[t] + b.

    The options are those of ``torch.nn.Conv2d``, each one number for both axes or a pair; see
    `Conv`.

    Shapes: x (time, batch, in_channels, height, width) to (time, batch, out_channels, ...).
    ``weight`` is (out_channels, in_channels / groups, *kernel_size).

    Raises:
        ParameterError: an option is out of range.

    >>> import torch
    >>> y, state = Conv2d(1, 4, 3, padding=1)(torch.zeros(10, 2, 1, 8, 8))
    >>> y.shape
    torch.Size([10, 2, 4, 8, 8])
    """

    axes = 2


def numbers(where: str, name: str, value: Numbers, axes: int, least: int = 1) -> tuple[int, ...]:
    """One number for all axes, or one for each; raises ParameterError on others."""
    each: Any = value if isinstance(value, tuple | list) else (value,) * axes
    if len(each) == axes and all(type(number) is int and number >= least for number in each):
        return tuple(each)
    if axes == 1:
        raise ParameterError(
            f"{where}: {name} must be an integer of {least} or more, got {value!r}. "
            "Pass one number."
        )
    raise ParameterError(
        f"{where}: {name} must be an integer of {least} or more, or two of them, "
        f"got {value!r}. Pass one number for both axes, or (height, width)."
    )


def check_padding(where: str, padding: Numbers | str, axes: int) -> tuple[int, ...] | str:
    """A number of zeros for each axis, or one of torch's two words."""
    if not isinstance(padding, str):
        return numbers(where, "padding", padding, axes, least=0)
    if padding not in ("same", "valid"):
        raise ParameterError(
            f"{where}: padding must be a number,{' a pair,' if axes == 2 else ''} 'same' or "
            f"'valid', got {padding!r}. "
            "Pass for example padding=1."
        )
    return padding
