"""What firing rates and windows say about a network in training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from spikewright.network import Network
from spikewright.neurons import Firing

SATURATED = 0.5
"""Share of the spikes that a layer could fire from which it counts as saturated."""


class TrainingWarning(UserWarning):
    """Training goes on, but is unlikely to go well."""


def most_spikes(network: nn.Module) -> dict[str, int]:
    """The most spikes of a neuron in one step, of layers that fire several.

    >>> from spikewright.models import SynNet
    >>> most_spikes(SynNet(16, 4, (8, 8), (2, 2), max_spikes=15))
    {'neurons1': 15, 'neurons2': 15}
    """
    layers = network.layers if isinstance(network, Network) else {}
    found = {name: _most_of(layer) for name, layer in layers.items() if layer.spiking}
    return {name: most for name, most in found.items() if most > 1}


def _most_of(layer: nn.Module) -> int:
    kinds = [getattr(part, "firing", None) for part in layer.modules()]
    return max((kind.max_spikes for kind in kinds if isinstance(kind, Firing)), default=1)


def rate_warnings(rates: Mapping[str, float], most: Mapping[str, int] | None = None) -> list[str]:
    """One line for each layer that is silent or saturated, with what to change.

    Args:
        rates: mean spikes per step and neuron, by layer.
        most: spikes that a neuron can fire in one step, by layer; 1 where it is not named.

    >>> rate_warnings({"hidden": 0.1})
    []
    >>> print(*rate_warnings({"hidden": 0.0}))
    fit: layer 'hidden' must spike to learn, got 0 spikes per step. Raise its input weights or
    lower its v_threshold.
    """
    lines: list[str] = []
    for layer, rate in rates.items():
        if rate == 0:
            lines.append(
                f"fit: layer {layer!r} must spike to learn, got 0 spikes per step. "
                "Raise its input weights or lower its v_threshold."
            )
        elif rate > (limit := SATURATED * (most or {}).get(layer, 1)):
            lines.append(
                f"fit: layer {layer!r} must stay below {limit:g} spikes per step and neuron to "
                f"carry information, got {rate:.2g}. Lower its input weights, raise its "
                "v_threshold or add a rate regulariser."
            )
    return lines


def window_warnings(active: Mapping[str, float]) -> list[str]:
    """One line for each layer that nothing can teach, with what to change.

    Args:
        active: mean share of (step, sample, neuron) inside the surrogate's window, by layer.

    >>> window_warnings({"hidden": 0.01})
    []
    """
    return [
        f"fit: layer {layer!r} must have active neurons to learn, got none inside the surrogate's "
        "window. Widen it, at the start with window=WindowSchedule(...), or raise the layer's "
        "input weights: LowerRate cannot rescue a net with no active neuron."
        for layer, share in active.items()
        if share == 0
    ]


def skipped_warnings(skipped: float) -> list[str]:
    """One line if a rule left out steps, with what to change.

    Args:
        skipped: share of the steps whose gradient was not finite.

    >>> skipped_warnings(0.0)
    []
    """
    if skipped == 0:
        return []
    return [
        f"fit: gradients must be finite, got others in {skipped:.2g} of the steps, which changed "
        "nothing. Lower the learning rate, set clip, or look at the inputs."
    ]
