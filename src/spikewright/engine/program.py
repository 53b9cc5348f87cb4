"""What a layer does in one time step, as data that a compiler can read.

`Layer.part` describes a layer by one of the parts below; a layer that has none raises. A part
holds the layer's values as they are at that moment: ask again when weights have changed. Those
that keep a state say in ``state`` which shapes one sample's numbers have, in the order in which
they occur in the layer's own state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.engine.layer import Layer, Shape
from spikewright.engine.products import geometry
from spikewright.engine.tracing.trace import Slots, Step
from spikewright.errors import BackendError

Noise = Callable[[Any, int], tuple[Tensor, Any]]


@dataclass(frozen=True, eq=False)
class Same:
    """y = x, but for its shape: a layer that reshapes, or that acts only while training."""

    state: tuple[Shape, ...] = ()


@dataclass(frozen=True, eq=False)
class MatrixProduct:
    """y = W x + b.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,) or ``None``.
    """

    weight: Tensor
    bias: Tensor | None
    state: tuple[Shape, ...] = ()


@dataclass(frozen=True, eq=False)
class Convolution:
    """y = W * x + b over an image.

    Args:
        weight: (out channels, in channels / groups, height, width).
        bias: (out channels,) or ``None``.
        geometry: which outputs each pixel reaches.
    """

    weight: Tensor
    bias: Tensor | None
    geometry: geometry.Convolution
    state: tuple[Shape, ...] = ()


@dataclass(frozen=True, eq=False)
class WindowSum:
    """The sum of each window of each channel, times ``factor``; what pads an image is zero.

    Args:
        geometry: as that of a convolution of each channel by itself.
    """

    geometry: geometry.Convolution
    factor: float
    state: tuple[Shape, ...] = ()


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest value of each window of each channel; what pads an image does not count.

    Args:
        geometry: as that of a convolution of each channel by itself.
    """

    geometry: geometry.Convolution
    state: tuple[Shape, ...] = ()


@dataclass(frozen=True, eq=False)
class Delayed:
    """y[t] = (1 - f) x[t - k] + f x[t - k - 1], with a delay for each input.

    The state is the last ``depth`` inputs, the oldest first.

    Args:
        steps: k, whole numbers below ``depth``, broadcastable to ``features``.
        fraction: f, 0 to 1, likewise.
        features: shape of one input.
    """

    steps: Tensor
    fraction: Tensor
    features: Shape
    depth: int

    @property
    def state(self) -> tuple[Shape, ...]:
        return ((self.depth, *self.features),)


@dataclass(frozen=True, eq=False)
class DelayedProduct:
    """y[t] = sum over d of W[d] x[t - depth + d], plus b: a product for each past step.

    The state is the last ``depth`` inputs, the oldest first.

    Args:
        taps: (outputs, inputs, depth + 1); the last one meets x[t].
        bias: (outputs,) or ``None``.
    """

    taps: Tensor
    bias: Tensor | None

    @property
    def weight(self) -> Tensor:
        """(outputs, (depth + 1) inputs), the inputs of a step side by side."""
        return self.taps.transpose(1, 2).flatten(1)

    @property
    def state(self) -> tuple[Shape, ...]:
        return ((self.taps.shape[2] - 1, self.taps.shape[1]),)


@dataclass(frozen=True, eq=False)
class Pointwise:
    """Neurons, each by itself: ``y, state = step(x, state, coefficients)``.

    Args:
        step: a pure function; with ``noise`` its input is the pair (x, standard normal numbers).
        features: shape of the neurons of one sample.
        inputs: trailing shape of x, such as (k,) for k synapses a neuron.
        example: a state of one sample, a tree of tensors (1, *features[, k]).
        coefficients: a tree of tensors, scalar or broadcastable to (*features[, k]).
        noise: from the layer's state and a number of steps to standard normal numbers
            (steps, batch, *features) and the state with its place in the random stream moved on.
        signals: how many numbers each neuron is told beside x; its input is then (x, *signals).
    """

    step: Step
    features: Shape
    inputs: Shape
    example: Any
    coefficients: Any
    noise: Noise | None = None
    signals: int = 0

    @property
    def state(self) -> tuple[Shape, ...]:
        return tuple(tuple(leaf.shape[1:]) for leaf in pytree.tree_leaves(self.example))

    @property
    def neurons(self) -> int:
        return math.prod(self.features)

    def slots(self) -> Slots:
        """The flat arguments of the step."""
        rank = len(self.features)
        coefficients, tree = pytree.tree_flatten(self.coefficients)
        numbers = [*coefficients, *pytree.tree_leaves(self.example)]
        trailing = tuple(tuple(c.shape[rank:]) if c.ndim > rank else () for c in coefficients)
        told = self.signals + (self.noise is not None)
        form = pytree.tree_structure((0,) * (1 + told) if told else 0)
        return Slots(
            (self.inputs, *((),) * told),
            tuple(shape[rank:] for shape in self.state),
            trailing,
            tuple(c.numel() == math.prod(k) for c, k in zip(coefficients, trailing, strict=True)),
            (form, pytree.tree_structure(self.example), tree),
            numbers[0].dtype if numbers else torch.get_default_dtype(),
        )


@dataclass(frozen=True, eq=False)
class Feedback:
    """Neurons that get, beside x, their own output of the step before through a connection.

    The state is that of the neurons, their last output, and that of the connection.
    """

    neurons: Pointwise
    connection: Part
    noise: Noise | None = None

    @property
    def state(self) -> tuple[Shape, ...]:
        return (*self.neurons.state, self.neurons.features, *self.connection.state)


@dataclass(frozen=True, eq=False)
class Competition:
    """Neurons of which only those furthest above their threshold fire.

    Args:
        trial: gives how far above its threshold a neuron that would fire is, and -inf for others.
        neurons: with one signal: 1 for those that fire, -1 for the others where some do, else 0.
        winners: how many may fire in a step.
    """

    trial: Pointwise
    neurons: Pointwise
    winners: int
    noise: Noise | None = None

    @property
    def state(self) -> tuple[Shape, ...]:
        return self.neurons.state


Part = (
    Same
    | MatrixProduct
    | Convolution
    | WindowSum
    | Maximum
    | Delayed
    | DelayedProduct
    | Pointwise
    | Feedback
    | Competition
)


def part_of(layer: Layer) -> Part:
    """What a layer does in one time step.

    Raises:
        BackendError: the layer has no description of it, or a hook or a method of a class derived
            from the one that describes it may do something else.
    """
    kind = type(layer)
    describing = next(c for c in kind.__mro__ if "part" in vars(c))
    own = kind.__mro__[: kind.__mro__.index(describing)] if describing is not Layer else ()
    other = [name for c in own for name in ("forward", "run") if name in vars(c)]
    other += [n for n in ("_forward_hooks", "_forward_pre_hooks") if getattr(layer, n)]
    if other:
        raise BackendError(
            f"{kind.__name__}: the layer must do what its class says to be compiled, got {other[0]}"
            " of its own. Override part() as well, or run the network with net(x, state)."
        )
    return layer.part()
