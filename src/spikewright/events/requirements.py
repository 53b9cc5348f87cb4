"""Which networks can run in events, and why another cannot."""

from __future__ import annotations

from typing import Any, Literal

from spikewright.connections import (
    AvgPool2d,
    Delay,
    DelayedLinear,
    Flatten,
    Recurrent,
    Scale,
    SumPool2d,
)
from spikewright.connections.base import Connection
from spikewright.engine.layer import Layer
from spikewright.events.signal import SIGNALS
from spikewright.events.wires import FEEDBACK, WIRES
from spikewright.network import INPUT, Network
from spikewright.neurons import CubaLI, CubaLIF

Kind = Literal["spikes", "weighed spikes", "current", "membrane"]
"""What an edge carries; weighed spikes have a factor for each unit."""

_OTHER_WAY = "Use layers that events know, or train by surrogate gradients."


def requirements(network: Network) -> list[str]:
    """Why ``network`` cannot run in events: one line a layer, with its name; else empty.

    Events know Linear, DelayedLinear, Conv1d and Conv2d without bias, Delay, SumPool2d, AvgPool2d,
    Flatten, Scale, Dropout, and CubaLIF and CubaLI of order "exact", in Recurrent too. The spread
    of delays is a matter of surrogate gradients, and plays no part.

    >>> from spikewright import CubaLIF, Linear, Sequential
    >>> requirements(Sequential(Linear(2, 3), CubaLIF(), dt=1e-3))
    ["layer '0_linear': has a bias, a constant current. Make it with bias=False."]
    """
    lines: list[str] = []
    kinds: dict[str, set[Kind]] = {INPUT: {"spikes"}}
    last = next(reversed(network.layers))
    for name, layer in network.layers.items():
        given = set[Kind]().union(*(kinds[source] for source in network.sources[name]))
        problem = _problem(layer, given) or (_problem_at_end(layer) if name == last else None)
        if problem is not None:
            lines.append(f"layer {name!r}: {problem}")
        kinds[name] = _gives(layer, given)
    return lines


def neurons_of(layer: Layer) -> Layer:
    """The neurons of a layer, inside a recurrent one too."""
    return layer.neuron if isinstance(layer, Recurrent) else layer


def _problem(layer: Layer, given: set[Kind]) -> str | None:
    kind = type(layer).__name__
    if "membrane" in given:
        return "follows neurons that do not spike. Only the last layer may be a CubaLI."
    if type(layer) in WIRES:
        return _problem_of_weights(layer, given)
    if type(layer) in SIGNALS:
        return _problem_of_signals(layer, given)
    if isinstance(layer, Recurrent):
        return _problem_of_feedback(layer) or _problem_of_neurons(layer.neuron)
    if isinstance(layer, Connection):
        return f"{kind} has no meaning for spikes at exact times. {_OTHER_WAY}"
    return _problem_of_neurons(layer)


def _problem_of_weights(layer: Layer, given: set[Kind]) -> str | None:
    if "current" in given:
        return "weighs what was weighed before. Put neurons in between, or join the weights."
    return _problem_of_bias(layer) or _problem_of_delays(layer)


def _problem_of_delays(layer: Layer) -> str | None:
    if isinstance(layer, Delay | DelayedLinear) and layer.rounded and layer.spread is None:
        return "rounds its delays to steps, and there are none. Make it with rounded=False."
    return None


def _problem_of_bias(layer: Layer) -> str | None:
    if getattr(layer, "bias", None) is None:
        return None
    return "has a bias, a constant current. Make it with bias=False."


def _problem_of_signals(layer: Layer, given: set[Kind]) -> str | None:
    if "current" in given and type(layer) not in (Flatten, Scale):
        return f"{type(layer).__name__} acts on spikes, not on currents. Put it before the weights."
    if "weighed spikes" in given and isinstance(layer, SumPool2d | AvgPool2d):
        return "pools spikes that count for different factors. Put the Scale behind it."
    return _problem_of_delays(layer)


def _problem_of_feedback(layer: Recurrent) -> str | None:
    connection = layer.connection
    if connection is None or type(connection) in FEEDBACK:
        return None if connection is None else _problem_of_weights(connection, {"spikes"})
    return f"feeds spikes back by {type(connection).__name__}. Use Linear, DelayedLinear or Delay."


def _problem_of_neurons(layer: Layer) -> str | None:
    kind: Any = type(layer)
    if kind not in (CubaLIF, CubaLI):
        return f"{kind.__name__} has no solution in events. Use CubaLIF or CubaLI."
    neuron: Any = layer
    order, firing = neuron.options_of_step["order"], neuron.firing
    if order != "exact":
        return f"its order of update is {order!r}, which needs steps. Use order='exact'."
    if neuron.noise:
        return "has noise, which has no events. Use noise=0.0."
    if neuron.refractory:
        return "is refractory, which events do not know. Use refractory=0.0."
    if kind is CubaLIF and firing.reset == "none":
        return "does not reset. Use Firing(reset='to_value') or 'subtract'."
    if kind is CubaLIF and firing.max_spikes > 1:
        return "counts several spikes in a step, and there are none. Use max_spikes=1."
    return None


def _problem_at_end(layer: Layer) -> str | None:
    if type(neurons_of(layer)) in (CubaLIF, CubaLI):
        return None
    return "must be neurons, as it is the last. End the network in CubaLIF or CubaLI."


def _gives(layer: Layer, given: set[Kind]) -> set[Kind]:
    if type(layer) in WIRES:
        return {"current"}
    if isinstance(layer, Connection):
        several = isinstance(layer, Scale) and layer.scale.numel() > 1
        return {"weighed spikes" if several and kind == "spikes" else kind for kind in given}
    return {"spikes" if neurons_of(layer).spiking else "membrane"}
