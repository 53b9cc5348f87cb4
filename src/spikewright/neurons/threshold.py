"""A threshold without a membrane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from spikewright.engine.spike import spike
from spikewright.neurons.base import Neuron
from spikewright.neurons.parameters import Tensors, Value


@dataclass(frozen=True)
class ThresholdParams:
    """``v_threshold`` in the units of the input."""

    v_threshold: Value = 1.0


class ThresholdState(NamedTuple):
    """Nothing is kept from one step to the next."""


class ThresholdCoefficients(NamedTuple):
    """What `Threshold` steps compare with."""

    v_threshold: Tensor


def threshold_coefficients(p: Tensors[ThresholdParams], dt: float) -> ThresholdCoefficients:
    """The parameter itself."""
    return ThresholdCoefficients(p.v_threshold)


def threshold_step(
    x: Tensor, state: ThresholdState, c: ThresholdCoefficients
) -> tuple[Tensor, ThresholdState]:
    """Spikes where the input of the step is above the threshold.

    s = 1 where x > v_threshold
    Order: x[t] reaches s[t] in the same step.
    """
    return spike(x - c.v_threshold), state


class Threshold(Neuron):
    """The step function: a spike wherever the input itself is above the threshold.

    Order of update: see `threshold_step`. Parameters: see `ThresholdParams`. Gradient of a
    spike: `surrogate`.

    >>> import torch
    >>> layer = Threshold(v_threshold=0.5)
    >>> _ = layer.build((3,), dt=1e-3)
    >>> layer(torch.tensor([0.2, 0.5, 0.7]).view(1, 1, 3))[0].flatten()
    tensor([0., 0., 1.])
    """

    Params, State = ThresholdParams, ThresholdState
    coefficients, step = staticmethod(threshold_coefficients), staticmethod(threshold_step)
