"""Options that work on every neuron with a membrane ``v``: refractory period and noise.

Each wraps a step and extends its state and coefficients, so the engine compiles the result as
it compiles any step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.engine.spike import gated
from spikewright.engine.tracing.trace import Step


class RefractoryState(NamedTuple):
    """State of a neuron and how many steps it stays silent yet, (batch, *n)."""

    neuron: Any
    remaining: Tensor


def with_refractory(step: Step) -> Step:
    """After a spike, hold the membrane and be silent for a number of steps.

    The coefficients become ``(coefficients, steps)``. Synaptic currents and adaptation go on.
    """

    def refractory_step(x: Any, state: RefractoryState, c: Any) -> tuple[Tensor, RefractoryState]:
        inner, steps = c
        ready = state.remaining <= 0
        with gated(ready):
            spikes, neuron = step(x, state.neuron, inner)
        neuron = neuron._replace(v=torch.where(ready, neuron.v, state.neuron.v))
        waited = torch.clamp(state.remaining - 1, min=0)
        remaining = torch.where(spikes.detach() > 0, steps, waited)
        return spikes, RefractoryState(neuron, remaining)

    return refractory_step


def with_noise(step: Step) -> Step:
    """Let the membrane diffuse before each step: ``v <- v + noise * sqrt(dt) * xi``.

    The input becomes ``(x, xi)`` with standard normal ``xi``, the coefficients
    ``(coefficients, amplitude)``.
    """

    def noisy_step(inputs: Any, state: Any, c: Any) -> tuple[Tensor, Any]:
        x, xi = inputs
        inner, amplitude = c
        return step(x, state._replace(v=state.v + amplitude * xi), inner)

    return noisy_step


class NoiseState(NamedTuple):
    """State of a neuron and its place in the random stream.

    ``sample``: identifies each sample's stream, (batch,) int64. ``clock``: steps taken, (batch,).
    """

    neuron: Any
    sample: Tensor
    clock: Tensor
