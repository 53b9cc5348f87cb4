"""What works on every neuron: refractory period, noise, and a device in place of the step.

Each wraps a step and extends its inputs, state or coefficients, so the engine compiles the result
as it compiles any step.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikewright.engine.spike import as_shown, firing_as, gated
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


def without_noise(step: Step) -> Step:
    """The step in its noisy form's coefficients, without the noise."""

    def quiet_step(x: Any, state: Any, c: Any) -> tuple[Tensor, Any]:
        return step(x, state, c[0])

    return quiet_step


def with_observation(step: Step, seen: tuple[str, ...]) -> Step:
    """Put what a device showed into the step's forward pass, the step's derivative behind it.

    The input becomes ``(x, *observed)`` with what ``seen`` names: ``"spikes"``, ``"v"`` and
    ``"output"`` of an `spikewright.engine.forward.Observation`, in that order.
    Order: the step fires as observed, so reset, refractory period and adaptation follow the
    device; then its membrane takes the place of v, reset included.
    """

    def observed_step(inputs: Any, state: Any, c: Any) -> tuple[Tensor, Any]:
        x, *values = inputs
        shown = dict(zip(seen, values, strict=True))
        with firing_as(shown["spikes"]) if "spikes" in shown else nullcontext():
            output, state = step(x, state, c)
        if "v" in shown:
            state = replace_membrane(state, as_shown(_membrane(state), shown["v"]))
        return as_shown(output, shown["output"]) if "output" in shown else output, state

    return observed_step


def replace_membrane(state: Any, v: Tensor) -> Any:
    """The state of a neuron, with or without a refractory period, with another membrane."""
    if isinstance(state, RefractoryState):
        return state._replace(neuron=replace_membrane(state.neuron, v))
    return state._replace(v=v)


def _membrane(state: Any) -> Tensor:
    return _membrane(state.neuron) if isinstance(state, RefractoryState) else state.v
