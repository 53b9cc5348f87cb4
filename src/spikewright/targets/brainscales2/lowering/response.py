"""How a circuit in continuous time stands for neurons on a time grid.

Whatever the order of update, ``m`` steps after a spike has begun to act the membrane of a
current-based neuron on a grid has risen by

    h[m] = w gain (a^m - b^m) / (a - b)                      a, b: decays of membrane, current

and that of a circuit, ``m dt`` after the spike has arrived, by

    h(m dt) = w strength tau_syn / (tau_mem - tau_syn) (a^m - b^m)
                                                  tau_mem = -dt / ln a,  tau_syn = -dt / ln b

so with ``strength = gain (tau_mem - tau_syn) / (tau_syn (a - b))`` the two are equal at every
point of the grid: an order of update changes no more than the time constants that are asked of
the circuit, the strength of its synapses, and the moment at which a spike has to arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.compiler.discrete import DiscreteProgram, Neurons, Node
from spikewright.targets.brainscales2.lowering.wiring import is_sound, layers, neurons

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Response:
    """What is asked of the circuits of a layer, float64 (n,) each, times in s of the network.

    Args:
        tau_mem, tau_syn: time constants.
        strength: what a weight of one adds to the current, in the units of the membrane.
        arrival: when a spike of step t has to arrive, in steps after the step's start: 1 where
            the order of update lets it act in the next step only, else 0.
    """

    tau_mem: Floats
    tau_syn: Floats
    strength: Floats
    arrival: int


def value(node: Node, name: str) -> Floats:
    """A parameter of each neuron of a node, float64 (n,)."""
    given = neurons(node).parameters[name].detach().double().numpy()
    return np.broadcast_to(given, node.shape).reshape(-1).copy()


def order_of(operation: Neurons) -> str:
    """The order of update of `spikewright.neurons.cuba`."""
    return str(operation.options.get("order", "exact"))


def response(node: Node, dt: float) -> Response:
    """What the circuits of a layer are asked to do; see the top of this file.

    Args:
        dt: s.

    Raises:
        KeyError: the neurons are not current-based.
    """
    tau_mem, tau_syn, r = (value(node, name) for name in ("tau_mem", "tau_syn", "r"))
    order = order_of(neurons(node))
    if order == "exact":
        return Response(tau_mem, tau_syn, r, 0)
    if order == "euler":
        with np.errstate(divide="ignore"):  # a time constant of one step has no circuit
            grid = [-np.log1p(-np.minimum(dt / tau, 1.0)) for tau in (tau_mem, tau_syn)]
        return _on_grid(grid[0], grid[1], r * dt / tau_mem, dt, 0)
    return _on_grid(dt / tau_mem, dt / tau_syn, -r * np.expm1(-dt / tau_mem), dt, 1)


def is_ready(program: DiscreteProgram) -> bool:
    """Whether circuits can be asked for what a program needs, whatever it takes; see `check`."""
    return is_sound(program) and all(_is_sane(node, program.dt) for node in layers(program))


def _is_sane(node: Node, dt: float) -> bool:
    """Times and strengths above zero, and a threshold above rest."""
    answer = response(node, dt)
    values = np.concatenate([answer.tau_mem, answer.tau_syn, answer.strength])
    if neurons(node).spiking:
        values = np.append(values, value(node, "v_threshold") - value(node, "v_leak"))
    return bool((np.isfinite(values) & (values > 0)).all())


def _on_grid(mem: Floats, syn: Floats, gain: Floats, dt: float, arrival: int) -> Response:
    """From the logarithms of the decays, a = exp(-mem) and b = exp(-syn), and the gain."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = syn - mem
        ratio = np.where(apart == 0, 1.0, apart / -np.expm1(-apart + (apart == 0)))
        return Response(dt / mem, dt / syn, gain / mem * np.exp(mem) * ratio, arrival)
