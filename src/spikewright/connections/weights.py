"""Weights whose number of inputs may be left open until the layer meets its input."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter, is_lazy

from spikewright.connections.base import Connection, positive
from spikewright.engine.layer import Shape
from spikewright.errors import NetworkError


class Weighted(Connection):
    """Base of the connections with a ``weight`` and, if wanted, a ``bias``.

    A parameter of open size is there from the start, so an optimiser made before the layer is
    built trains it all the same; it gets its size and its values when the layer is built, first
    called, or given stored weights.

    Attributes:
        inputs: number of inputs (features or channels); ``None`` while open.
        weight: (outputs, ...).
        bias: (outputs,) or ``None``.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    inputs: int | None
    inputs_name: str = "in_features"
    _drawn: str | None = None

    def add_weights(self, inputs: int | None, outputs: int, bias: bool) -> None:
        """Make the parameters, of open size if ``inputs`` is ``None``."""
        self.inputs = None
        self.weight = open_parameter()
        self.register_parameter("bias", nn.Parameter(torch.empty(outputs)) if bias else None)
        if inputs is not None:
            self.open(positive(type(self).__name__, self.inputs_name, inputs))

    def weight_shape(self, inputs: int) -> Shape:
        """The shape of ``weight`` for that number of inputs."""
        raise NotImplementedError

    def stored_inputs(self, shape: Shape) -> int:
        """The number of inputs of a stored weight of that shape."""
        return shape[1]

    def open(self, inputs: int) -> None:
        """Give the weights the size for ``inputs`` and their first values, if still open."""
        if is_lazy(self.weight):
            self.inputs = inputs
            open_weight: Any = self.weight
            open_weight.materialize(self.weight_shape(inputs))
            self.reset_parameters()

    def check_inputs(self, shape: Shape) -> None:
        """Raise NetworkError unless the first axis of a feature shape is the number of inputs."""
        if self.inputs not in (None, shape[0]):
            raise NetworkError(
                f"{type(self).__name__}: input features must be {(self.inputs, *shape[1:])}, "
                f"got {shape}. Set {self.inputs_name} to {shape[0]}, or to None to infer it."
            )

    def reset_parameters(self) -> None:
        """Draw weight and bias as torch's own layers do.

        Uniform between -1/sqrt(fan_in) and 1/sqrt(fan_in) (He et al. 2015 with a = sqrt(5)).
        """
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        with torch.no_grad():
            self.weight.uniform_(-bound, bound)
            if self.bias is not None:
                self.bias.uniform_(-bound, bound)
        self._drawn = self._fingerprint()

    def scale_first(self, factor: Tensor) -> None:
        """Multiply the first weights, which then count as drawn so.

        Args:
            factor: broadcastable to ``weight``.
        """
        with torch.no_grad():
            self.weight.mul_(factor.to(self.weight.dtype))
        self._drawn = self._fingerprint()

    @property
    def untouched(self) -> bool:
        """Whether the weights are still as they were first drawn: not trained, loaded or set."""
        drawn = self._drawn is not None and not is_lazy(self.weight)
        return drawn and self._drawn == self._fingerprint()

    def _fingerprint(self) -> str:
        """A key for the values: unlike a version counter it survives copies and sees ``.data``."""
        digest = hashlib.sha256()
        for tensor in (self.weight, self.bias):
            if tensor is not None:
                digest.update(tensor.detach().cpu().double().numpy().tobytes())
        return digest.hexdigest()

    def weight_dtype(self) -> torch.dtype:
        return self.weight.dtype

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if is_lazy(self.weight):
            raise NetworkError(
                f"{type(self).__name__}: weight {prefix + 'weight'!r} must have a size to be "
                f"saved, got {self.inputs_name}=None in a layer that has met no input. "
                "Build the network first, or run it once."
            )
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        stored = state_dict.get(prefix + "weight")
        rank = len(self.weight_shape(1))
        if is_lazy(self.weight) and isinstance(stored, Tensor) and stored.dim() == rank:
            inputs = self.stored_inputs(tuple(stored.shape))
            if tuple(stored.shape) == self.weight_shape(inputs):
                self.open(inputs)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def open_parameter() -> nn.Parameter:
    """A parameter without a size yet; torch's stubs do not know that it is one."""
    parameter: Any = UninitializedParameter()
    return parameter
