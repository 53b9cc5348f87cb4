"""Networks that the tests of the discrete program walk through."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

import spikewright as sw
from network.nets import NETS, exact, low, sequence
from spikewright.compiler.software.neurons import ProgramNeurons


class LatchState(NamedTuple):
    """A leaky value with memory, and how often it fired; both (batch, *n)."""

    charge: Tensor
    fired: Tensor


class LatchCoefficients(NamedTuple):
    """Some with the names of inputs and of what instructions make."""

    x: Tensor
    t0: Tensor


class Latch(sw.Neuron):
    """A user's neuron: it fires less and less often, and clamps what it holds."""

    Params, State = sw.neurons.lif.LIFParams, LatchState

    @staticmethod
    def coefficients(p: object, dt: float) -> LatchCoefficients:
        return LatchCoefficients(torch.exp(-dt / p.tau_mem), p.v_threshold)  # type: ignore[attr-defined]

    @staticmethod
    def step(x: Tensor, state: LatchState, c: LatchCoefficients) -> tuple[Tensor, LatchState]:
        charge = torch.clamp(c.x * state.charge + x.abs(), max=3.0)
        spikes = sw.spike(charge - c.t0 * (1.0 + state.fired))
        return spikes, LatchState(torch.where(spikes > 0, 0.0, charge), state.fired + spikes)


def branches() -> sw.Network:
    torch.manual_seed(2)
    layers = {
        "a": sw.Conv2d(2, 3, 3, padding="same"),
        "b": sw.Conv2d(2, 3, 1, bias=False),
        "c": sw.Conv2d(2, 3, (3, 1), padding=(1, 0)),
        "norm": sw.BatchNorm(v_threshold=0.1),
        "fire": low(sw.IF, firing=sw.Firing("subtract", max_spikes=3)),
        "pool": sw.SumPool2d(2),
        "flat": sw.Flatten(),
        "out": sw.Linear(27, 4),
        "read": sw.LI(),
    }
    edges = [("input", n) for n in "abc"] + [(n, "norm") for n in "abc"]
    chain = ["norm", "fire", "pool", "flat", "out", "read"]
    net = sw.Graph(layers, [*edges, *pairwise(chain)], dt=1e-3, shape=(2, 6, 6))
    return normalised(net)


def normalised(net: sw.Network) -> sw.Network:
    """Batch norm as after some training."""
    random = torch.Generator().manual_seed(4)
    for layer in net.layers.values():
        if isinstance(layer, sw.BatchNorm):
            size = layer.running_mean.shape
            layer.running_mean.copy_(torch.rand(size, generator=random) - 0.5)
            layer.running_var.copy_(torch.rand(size, generator=random) + 0.5)
            layer.weight.data.copy_(torch.rand(size, generator=random) + 0.5)
            layer.bias.data.copy_(torch.rand(size, generator=random) - 0.5)
    return net


def recurrent(connection: sw.Layer | None = None, inputs: int = 9) -> sw.Network:
    return sequence(sw.Linear(6, inputs), sw.Recurrent(low(sw.LIF), connection))


MORE: dict[str, Callable[[], sw.Network]] = {
    "user-written": lambda: sequence(sw.Linear(6, 9), low(Latch)),
    "several spikes": lambda: sequence(
        sw.Linear(6, 9), low(sw.IF, firing=sw.Firing("subtract", max_spikes=4, inclusive=True))
    ),
    "branches": branches,
    "line": lambda: sequence(
        sw.Conv1d(2, 4, 4, padding="same", groups=2), low(sw.LIF), inputs=(2, 8)
    ),
    "strides": lambda: sequence(
        sw.Conv2d(1, 2, 3, stride=2, padding=1, dilation=(1, 2)),
        sw.LIF(v_threshold=0.01),
        sw.MaxPool2d(2, stride=1),
        inputs=(1, 9, 9),
    ),
    "fractional delays": lambda: sequence(
        sw.DelayedLinear(6, 9, delays=torch.linspace(0, 4.3e-3, 6), maximum=5e-3), low(sw.LIF)
    ),
    "recurrent delays": lambda: recurrent(sw.DelayedLinear(9, 9, delays=3e-3, bias=False)),
    "recurrent axons": lambda: recurrent(sw.Delay(2e-3)),
    "recurrent images": lambda: sequence(
        sw.Conv2d(1, 2, 3, padding=1),
        sw.Recurrent(sw.LIF(v_threshold=0.01), sw.Conv2d(2, 2, 3, padding="same")),
        inputs=(1, 5, 5),
    ),
    "scaled": lambda: exact(normalised(sequence(sw.Linear(6, 9), sw.BatchNorm(), low(sw.LIF)))),
    "loose ends": lambda: sequence(sw.Flatten(), inputs=(2, 3)),
}


def ready(make: Callable[[], sw.Network]) -> sw.Network:
    """A network in evaluation mode whose neurons may be compiled."""
    net = make().eval()
    for module in net.modules():
        if isinstance(module, sw.Neuron):
            module.backend = "auto"
    return net


def eager(network: sw.Network) -> sw.Network:
    """The network with its neurons run by the reference backend, which compiles nothing."""
    for module in network.modules():
        if isinstance(module, sw.Neuron | ProgramNeurons):
            module.backend = "reference"
    return network


REFUSED = {"winner take all"}  # neurons that choose among each other are no program
ALL: dict[str, Callable[[], sw.Network]] = {
    name: make for name, make in {**NETS, **MORE}.items() if name not in REFUSED
}
ROUNDED = {"branches", "scaled"}
"""Networks with batch norm, which PyTorch computes in another order."""
COMPILED = (
    "cuba", "noise and refractory", "synapses", "recurrent", "recurrent images", "branches",
    "user-written",
)  # fmt: skip
"""Those that are also run by the compiled kernels, which takes its time."""
