"""An ordinary network, walked in events: spikes, arrivals, spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from spikewright.coding.spike_times import SpikeTimes
from spikewright.connections import Recurrent, Scale
from spikewright.connections.base import Connection
from spikewright.engine.layer import Layer, Shape
from spikewright.errors import NetworkError, ParameterError, ShapeError, nearest
from spikewright.events.cells import Cells
from spikewright.events.current import Current, Feedback
from spikewright.events.membrane import Membrane
from spikewright.events.requirements import neurons_of, requirements
from spikewright.events.signal import SIGNALS, Signal, flat_scale
from spikewright.events.solver import Fired, Limits, Solver
from spikewright.events.wires import (
    FEEDBACK,
    WIRES,
    Wire,
    direct_wire,
    merge_currents,
    scale_targets,
)
from spikewright.network import INPUT, Network
from spikewright.neurons import CubaLIF

Value = Signal | Current
"""What an edge carries, several of them where edges meet."""


class EventRun(NamedTuple):
    """What a network did.

    Args:
        output: of the last layer: spikes with features in its shape, or its membrane.
        fired: what each layer of spiking neurons did, by its name and in its shape; ``last`` is
            v - v_leak at the end of the trial.
    """

    output: SpikeTimes | Membrane
    fired: dict[str, Fired]


def run_events(
    network: Network,
    spikes: SpikeTimes,
    solver: Solver,
    limits: Limits | Mapping[str, Limits] | None = None,
) -> EventRun:
    """Run ``network`` on spikes by a solver, from rest.

    Differentiable with respect to the times of the input spikes and all parameters. All is worked
    out in float64; parameters get gradients of their own dtype.

    Args:
        network: of layers that events know; see `requirements`.
        spikes: with features in the network's input shape.
        solver: `spikewright.events.exact.Exact` or another.
        limits: for all layers of spiking neurons, or by their names.

    Raises:
        NetworkError: a layer cannot run in events; names it.
        ParameterError: a threshold that is not above rest and reset, a parameter that is not
            finite, or limits for no layer.
        ShapeError: ``spikes`` have other features, or are not in order.
        EventError: a neuron fires without end.
    """
    _prepare(network, spikes)
    each = _limits_of(network, limits)
    values: dict[str, list[Value]] = {INPUT: [Signal(spikes)]}
    fired: dict[str, Fired] = {}
    for name, layer in network.layers.items():
        given = [value for source in network.sources[name] for value in values[source]]
        if isinstance(layer, Connection):
            values[name] = [_pass(layer, value) for value in given]
            continue
        cells, v_leak = _cells(name, neurons_of(layer))
        current = _current_of(layer, given)
        if not layer.spiking:
            assert layer.shape is not None
            return EventRun(Membrane(current, cells, solver, v_leak, layer.shape), fired)
        found = solver.fire(current, cells, _feedback_of(layer), each[name])
        fired[name] = _shaped(found, layer)
        values[name] = [Signal(fired[name].spikes)]
    return EventRun(fired[next(reversed(network.layers))].spikes, fired)


def _prepare(network: Network, spikes: SpikeTimes) -> None:
    lines = requirements(network)
    if lines:
        raise NetworkError("events: the network must be of layers that events know, got\n  "
                           + "\n  ".join(lines))  # fmt: skip
    if not isinstance(spikes, SpikeTimes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ShapeError(
            f"events: spikes must be SpikeTimes, got a {type(spikes).__name__}. Make them with "
            "sw.SpikeTimes.from_raster, from_first or sort."
        )
    spikes.check()
    if network.shape is None:
        network.build(spikes.shape)
    if network.shape != spikes.shape:
        raise ShapeError(
            f"events: spikes must have the features {network.shape} of the network's input, got "
            f"{spikes.shape}. Make them of that shape, or put a Flatten first."
        )
    # A neuron that NaN reaches would seem silent, and an arrival delayed by NaN would be left out.
    for name, parameter in network.named_parameters():
        if not bool(parameter.detach().isfinite().all()):
            raise ParameterError(
                f"events: parameters must be finite, got NaN or infinity in {name!r}. Load an "
                "earlier checkpoint, or make the network anew."
            )


def _limits_of(network: Network, limits: Limits | Mapping[str, Limits] | None) -> dict[str, Limits]:
    spiking = [name for name, layer in network.layers.items() if layer.spiking]
    if limits is None or isinstance(limits, Limits):
        return dict.fromkeys(spiking, limits or Limits())
    if not isinstance(limits, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError(
            f"events: limits must be Limits, or Limits by layer, got {limits!r}. Write "
            "Limits(spikes=1) for first spikes only."
        )
    for name, limit in limits.items():
        if name not in spiking or not isinstance(limit, Limits):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError(
                "events: limits must be Limits by layers of spiking neurons, got "
                f"{name!r}: {limit!r}. {nearest(name, spiking)}"
            )
    return {name: limits.get(name, Limits()) for name in spiking}


def _pass(layer: Layer, value: Value) -> Value:
    """What a layer without neurons makes of a value."""
    if isinstance(value, Signal):
        if type(layer) in SIGNALS:
            return SIGNALS[type(layer)](layer, value)
        return _through(WIRES[type(layer)](layer), value)
    if not isinstance(layer, Scale):
        return value  # the same currents in another shape
    assert layer.shape is not None
    return _scaled(value, flat_scale(layer, layer.shape))


def _current_of(layer: Layer, given: list[Value]) -> Current:
    """All that reaches neurons, in units of their membrane."""
    currents = [_direct(value) if isinstance(value, Signal) else value for value in given]
    return _scaled(merge_currents(currents), _resistance(layer))


def _direct(signal: Signal) -> Current:
    """Spikes that reach neurons without weights in between."""
    return _through(direct_wire(signal.spikes.size, signal.spikes.units.device), signal)


def _through(wire: Wire, signal: Signal) -> Current:
    wire = wire if signal.gain is None else wire.scale_units(signal.gain)
    return wire.arrivals(signal.spikes)


def _feedback_of(layer: Layer) -> Feedback | None:
    if not isinstance(layer, Recurrent):
        return None
    connection: Any = layer.connection
    feedback = FEEDBACK[type(connection)](connection).feedback()
    return feedback._replace(synapses=scale_targets(feedback.synapses, _resistance(layer)))


def _scaled(current: Current, factor: Tensor) -> Current:
    return current._replace(synapses=scale_targets(current.synapses, factor))


def _resistance(layer: Layer) -> Tensor:
    neuron: Any = neurons_of(layer)
    return _flat(neuron.params().r)


def _cells(name: str, neuron: Any) -> tuple[Cells, Tensor]:
    """The parameters with the membrane counted from rest, and the resting potential."""
    params = neuron.params()
    v_leak = _flat(params.v_leak)
    cells = Cells(_flat(params.tau_mem), _flat(params.tau_syn))
    if not isinstance(neuron, CubaLIF):
        return cells, v_leak
    threshold = _flat(params.v_threshold) - v_leak
    # At the crossing v is the threshold, so subtracting it leaves 0.
    subtracts = neuron.firing.reset == "subtract"
    reset = (0.0 if subtracts else _flat(params.v_reset)) - v_leak
    _check_above(name, threshold, threshold.new_zeros(()), "v_leak")
    _check_above(name, threshold, reset, "0, where it resets to" if subtracts else "v_reset")
    return cells._replace(threshold=threshold, reset=reset), v_leak


def _check_above(name: str, threshold: Tensor, other: Tensor, what: str) -> None:
    distance = (threshold - other).detach()
    if not bool((distance > 0).all()):
        raise ParameterError(
            f"events: v_threshold of layer {name!r} must be above {what}, got a distance of "
            f"{float(distance.min()):g}. Raise the threshold."
        )


def _flat(value: Tensor) -> Tensor:
    """A parameter as () or (neurons,) float64."""
    return value.double().flatten() if value.ndim else value.double()


def _shaped(fired: Fired, layer: Layer) -> Fired:
    """What neurons did, with features in the layer's shape."""
    neuron: Any = neurons_of(layer)
    shape: Shape = neuron.shape
    return fired._replace(
        spikes=replace(fired.spikes, shape=shape),
        counts=fired.counts.reshape(-1, *shape),
        last=fired.last.reshape(-1, *shape),
    )
