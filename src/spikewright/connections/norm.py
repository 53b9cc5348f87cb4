"""Batch norm over time and batch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.parameter import UninitializedBuffer, is_lazy

from spikewright.connections.base import positive
from spikewright.connections.weights import Weighted, open_parameter
from spikewright.engine.layer import Shape, State
from spikewright.engine.program import Pointwise
from spikewright.errors import BackendError, NetworkError, ParameterError, ShapeError


class BatchNorm(Weighted):
    """Normalise each feature, or each channel of images, over time, batch and pixels.

    y = weight * alpha * v_threshold * (x - mean) / sqrt(var + eps) + bias

    While training, mean and var are those of the sequence passed in, all its steps at once, so
    a run in two chunks normalises each by itself. In evaluation mode they are the running means
    gathered while training.

    Args:
        features: number of features or channels; ``None`` to take it from the first input shape.
        alpha: factor of the threshold; 1 in a chain of layers, 1/sqrt(n) where n branches join.
        v_threshold: threshold of the neurons that follow (dimensionless), so that their input
            has its size; 1 for plain batch norm.
        eps: added to the variance.
        momentum: share of the newest statistics in the running means.

    Shapes: x (time, batch, features) or (time, batch, channels, ...) to the same. ``weight``,
    ``bias``, ``running_mean`` and ``running_var`` are (features,).

    Raises:
        ParameterError: an option is out of range.

    Source: Zheng et al. 2021, "Going deeper with directly-trained larger spiking neural
    networks", AAAI 35(12) (threshold-dependent batch norm).

    >>> import torch
    >>> y, state = BatchNorm(v_threshold=0.5)(torch.randn(50, 20, 3))
    >>> bool((y.std((0, 1)) - 0.5).abs().max() < 0.01)
    True
    """

    inputs_name = "features"
    whole_sequence = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        features: int | None = None,
        *,
        alpha: float = 1.0,
        v_threshold: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.alpha = above_zero("alpha", alpha)
        self.v_threshold = above_zero("v_threshold", v_threshold)
        self.eps = above_zero("eps", eps)
        self.momentum = above_zero("momentum", momentum, most=1.0)
        self.inputs = None
        self.weight = open_parameter()
        self.bias = open_parameter()
        self.register_buffer("running_mean", UninitializedBuffer())
        self.register_buffer("running_var", UninitializedBuffer())
        if features is not None:
            self.open(positive("BatchNorm", "features", features))

    @property
    def features(self) -> int | None:
        """Number of features or channels; ``None`` while open."""
        return self.inputs

    def weight_shape(self, inputs: int) -> Shape:
        return (inputs,)

    def stored_inputs(self, shape: Shape) -> int:
        return shape[0]

    def open(self, inputs: int) -> None:
        if is_lazy(self.weight):
            self.inputs = inputs
            tensors: tuple[Any, ...] = self._tensors()
            for tensor in tensors:
                tensor.materialize((inputs,))
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight and variance 1, bias and mean 0."""
        for tensor, value in zip(self._tensors(), (1.0, 0.0, 0.0, 1.0), strict=True):
            tensor.data.fill_(value)

    def output_shape(self, shape: Shape) -> Shape:
        if not shape:
            raise NetworkError(
                "BatchNorm: input features must have a feature or channel axis, got (). "
                "Add an axis to the input with x.unsqueeze(-1)."
            )
        self.check_inputs(shape)
        return shape

    def prepare(self) -> None:
        assert self.shape is not None
        self.open(self.shape[0])

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, None]:
        return self.map_steps(self._normalise, x, state)

    def part(self) -> Pointwise:
        if self.training:
            raise BackendError(
                "BatchNorm: the layer must be in evaluation mode to be compiled, got training. "
                "Call net.eval() first."
            )
        assert self.shape is not None
        weight, bias, mean, variance = self._tensors()
        scale = weight * (self.alpha * self.v_threshold) / torch.sqrt(variance + self.eps)
        each = (-1, *(1 for _ in self.shape[1:]))
        values = (scale.view(each), (bias - mean * scale).view(each))
        return Pointwise(_scale, self.shape, (), (), values)

    def extra_repr(self) -> str:
        text = f"{self.features}"
        for name, default in {"alpha": 1, "v_threshold": 1, "eps": 1e-5, "momentum": 0.1}.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name):g}"
        return text

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        assert self.bias is not None
        return self.weight, self.bias, self.running_mean, self.running_var

    def _normalise(self, rows: Tensor) -> Tensor:
        if self.training and rows.numel() == rows.shape[1]:
            raise ShapeError(
                "BatchNorm: time x batch must be at least 2 while training, got 1. "
                "Use more samples, or net.eval()."
            )
        scaled = self.weight * (self.alpha * self.v_threshold)
        return functional.batch_norm(
            rows,
            self.running_mean,
            self.running_var,
            scaled,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


def _scale(x: Tensor, state: tuple[()], c: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[()]]:
    return x * c[0] + c[1], state


def above_zero(name: str, value: float, most: float = math.inf) -> float:
    """Return ``value`` if it is finite, above 0 and at most ``most``, else raise ParameterError."""
    if not (0 < value <= most and math.isfinite(value)):
        limit = f" and at most {most:g}" if most < math.inf else ""
        raise ParameterError(
            f"BatchNorm: {name} must be finite, above 0{limit}, got {value!r}. "
            "Leave it out to take the default."
        )
    return float(value)
