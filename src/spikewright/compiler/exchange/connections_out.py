"""Connections, written: the nodes that stand for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from spikewright.compiler.exchange.metadata import pack
from spikewright.connections import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Delay,
    DelayedLinear,
    Dropout,
    Flatten,
    Linear,
    Scale,
    StepDropout,
    SumPool2d,
)
from spikewright.engine.layer import Layer
from spikewright.errors import ExchangeError

Shape = tuple[int, ...]


def _array(value: Any, dtype: Any = None) -> Any:
    array = value.detach().cpu().numpy()
    return np.array(array, dtype=dtype or array.dtype)


def write_linear(layer: Linear) -> list[Any]:
    """``Linear``, or with a bias ``Affine``."""
    if layer.bias is None:
        return [nir.Linear(_array(layer.weight))]
    return [nir.Affine(_array(layer.weight), _array(layer.bias))]


def write_conv(layer: Any) -> list[Any]:
    """A convolution; NIR's has a bias, which is zero where ours has none."""
    bias = np.zeros(layer.out_channels) if layer.bias is None else _array(layer.bias)
    single = layer.axes == 1
    options = {
        name: value[0] if single and isinstance(value, tuple) else value
        for name in ("stride", "padding", "dilation")
        for value in (getattr(layer, name),)
    }
    kind: Any = nir.Conv1d if single else nir.Conv2d
    node = kind(
        input_shape=layer.shape[1] if single else layer.shape[1:],
        weight=_array(layer.weight),
        bias=bias.astype(layer.weight.detach().cpu().numpy().dtype),
        groups=layer.groups,
        metadata=pack({"bias": False} if layer.bias is None else {}),
        **options,
    )
    return [node]


def write_pool(layer: Any) -> list[Any]:
    """A pooling layer."""
    kind = nir.SumPool2d if isinstance(layer, SumPool2d) else nir.AvgPool2d
    sizes = (layer.kernel_size, layer.stride, layer.padding)
    return [kind(*(np.array(size) for size in sizes))]


def write_flatten(layer: Flatten) -> list[Any]:
    """``Flatten``, whose axes count without time and batch, as ours."""
    return [nir.Flatten({"input": np.array(layer.shape)}, layer.first, layer.last)]


def write_scale(layer: Scale) -> list[Any]:
    """``Scale`` with a factor for each feature."""
    assert layer.shape is not None
    factors = np.broadcast_to(_array(layer.scale), layer.shape).copy()
    return [nir.Scale(factors, metadata=pack({"learnable": True} if layer.learnable else {}))]


def write_delay(layer: Delay, more: float = 0.0) -> list[Any]:
    """``Delay`` with a time for each feature, ``more`` seconds longer than the layer's."""
    assert layer.shape is not None
    return [nir.Delay(_times(layer, layer.shape, more), metadata=_carry_delay(layer))]


def _times(layer: Any, shape: Shape, more: float) -> Any:
    """Delays in seconds as float64: what they were given as, if a float32 could hold it."""
    fraction = _array(layer.fraction, np.float64).clip(0, 1)
    return np.broadcast_to(fraction * layer.maximum + more, shape).copy()


def _carry_delay(layer: Any) -> dict[str, str]:
    values = {"rounded": layer.rounded, "maximum": layer.maximum, "learnable": layer.learnable}
    return pack(values if layer.spread is None else {**values, "spread": layer.spread})


def write_delayed_linear(layer: DelayedLinear, more: float = 0.0) -> list[Any]:
    """``Delay`` and ``Linear``, in either order, where each input or each output has one delay.

    Raises:
        ExchangeError: the delays differ from synapse to synapse.
    """
    shape = tuple(layer.weight.shape)
    times = _times(layer, shape, more)
    product = write_linear(layer)  # type: ignore[arg-type]
    by_input, by_output = times[:1] == times, times[:, :1] == times
    carried = pack({"rounded": layer.rounded, "learnable": False})
    if by_input.all():
        return [nir.Delay(times[0], metadata=carried), *product]
    if by_output.all() and layer.bias is None:
        return [*product, nir.Delay(times[:, 0], metadata=carried)]
    raise ExchangeError(
        "delays must be one for each input or one for each output to be written, got one for each "
        "synapse. Compile the network directly."
    )


def write_dropout(layer: Dropout | StepDropout) -> list[Any]:
    """A ``Scale`` by one, which is what dropout does in evaluation."""
    assert layer.shape is not None
    return [nir.Scale(np.ones(layer.shape))]


def write_batch_norm(layer: BatchNorm) -> list[Any]:
    """The affine map of evaluation: a diagonal ``Affine``, or for images a 1 × 1 convolution."""
    assert layer.shape is not None
    scale, shift = (_array(value).reshape(-1) for value in layer.part().coefficients)
    count = len(scale)
    if len(layer.shape) == 1:
        return [nir.Affine(np.diag(scale), shift)]
    rank = len(layer.shape) - 1
    kind: Any = {1: nir.Conv1d, 2: nir.Conv2d}.get(rank)
    if kind is None:
        raise ExchangeError(
            f"features must have one to three axes to be written, got {layer.shape}. Compile the "
            "network directly."
        )
    size = layer.shape[1] if rank == 1 else layer.shape[1:]
    weight = scale.reshape(count, *(1,) * (rank + 1))
    return [kind(size, weight, 1, 0, 1, count, shift)]


WRITERS: dict[type[Layer], Callable[[Any], list[Any]]] = {
    Linear: write_linear,
    Conv1d: write_conv,
    Conv2d: write_conv,
    AvgPool2d: write_pool,
    SumPool2d: write_pool,
    Flatten: write_flatten,
    Scale: write_scale,
    Delay: write_delay,
    DelayedLinear: write_delayed_linear,
    BatchNorm: write_batch_norm,
    Dropout: write_dropout,
    StepDropout: write_dropout,
}
