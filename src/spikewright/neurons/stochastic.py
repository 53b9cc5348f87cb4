"""What neurons that represent a number by a random stream share: a mean of the input, and draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright import seeding
from spikewright.errors import ParameterError
from spikewright.neurons.base import Neuron
from spikewright.neurons.extras import NoiseState
from spikewright.neurons.parameters import Tensors, Value


@dataclass(frozen=True)
class MeanParams:
    """``forget``: rate at which the mean forgets, 1/s; 0 for the mean over all steps so far.

    A window of ``1 / forget`` seconds stands for a leaky membrane.
    """

    forget: Value = 0.0


class MeanState(NamedTuple):
    """``v``: mean of the input; ``steps``: how many it is over. Both (batch, *n)."""

    v: Tensor
    steps: Tensor


class MeanCoefficients(NamedTuple):
    """The least weight of a new input in the mean."""

    least: Tensor


def mean_coefficients(p: Tensors[MeanParams], dt: float) -> MeanCoefficients:
    """least = 1 - exp(-forget dt)."""
    return MeanCoefficients(1.0 - torch.exp(-p.forget * dt))


def follow_mean(x: Tensor, state: MeanState, c: MeanCoefficients) -> MeanState:
    """Let the mean follow the input: v <- v + (x - v) max(1 / n, least) at the n-th step."""
    steps = state.steps + 1.0
    gain = torch.maximum(1.0 / steps, c.least)
    return MeanState(state.v + (x - state.v) * gain, steps)


class StochasticNeuron(Neuron):
    """Base of neurons whose step takes ``(x, u)``: the input, and a uniform number in (0, 1).

    State: a `MeanState` in a `NoiseState`, which says where in the random stream each sample is:
    a row's spikes depend on its ``sample``, not on the batch it is in.
    """

    Params, State = MeanParams, MeanState
    coefficients = staticmethod(mean_coefficients)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.noise or self.refractory:
            raise ParameterError(
                f"{type(self).__name__}: noise and refractory must be zero for neurons that fire "
                f"at random, got noise={self.noise}, refractory={self.refractory}. Leave them out."
            )
        if bool((self.params().forget < 0).any()):
            raise ParameterError(
                f"{type(self).__name__}: forget must be zero or positive, got "
                f"{float(self.params().forget.min()):g}. Use 0.0 for the mean over all steps."
            )

    @property
    def draws(self) -> bool:
        return True

    def _draw(self, state: NoiseState, steps: int) -> tuple[Tensor, NoiseState]:
        features, dtype = self._bound_features(), self._noise_dtype()
        u = seeding.uniform(0, state.sample, int(state.clock[0]), steps, features, dtype)
        return u, state._replace(clock=state.clock + steps)
