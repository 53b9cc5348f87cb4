"""Networks whose sums are exact, so that chunks, orders and threads cannot change a bit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import spikewright as sw


def exact(network: sw.Network) -> sw.Network:
    """Weights become multiples of 1/64: with spikes as input every sum of theirs is exact."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((parameter * 64).round() / 64)
    return network


def sequence(*layers: sw.Layer, inputs: tuple[int, ...] = (6,)) -> sw.Network:
    torch.manual_seed(1)
    return exact(sw.Sequential(*layers, dt=1e-3, shape=inputs))


def spikes(steps: int, batch: int, *features: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *features, generator=generator) < 0.4).float()


def low(model: type[sw.Neuron], **options: object) -> sw.Neuron:
    """Neurons with so low a threshold that random weights make them fire."""
    return model(v_threshold=0.05, **options)


def leaves(state: object) -> list[Tensor]:
    """The tensors of a state."""
    return [leaf for leaf in pytree.tree_leaves(state) if isinstance(leaf, Tensor)]


def skip() -> sw.Network:
    torch.manual_seed(1)
    layers = {"in": sw.Linear(6, 8), "a": low(sw.LIF), "b": sw.Linear(8, 8), "out": low(sw.CubaLIF)}
    edges = [("input", "in"), ("in", "a"), ("a", "b"), ("b", "out"), ("a", "out")]
    return exact(sw.Graph(layers, edges, dt=1e-3, shape=(6,)))


NETS: dict[str, Callable[[], sw.Network]] = {
    "cuba": lambda: sequence(sw.Linear(6, 9), low(sw.CubaLIF), sw.Linear(9, 3), sw.CubaLI()),
    "refractory": lambda: sequence(
        sw.Linear(6, 9), low(sw.CubaLIF, refractory=3e-3, backend="reference")
    ),
    "noise": lambda: sequence(sw.Linear(6, 9), low(sw.LIF, noise=2.0), sw.Linear(9, 3), sw.LI()),
    "noise and refractory": lambda: sequence(
        sw.Linear(6, 9), low(sw.CubaLIF, noise=2.0, refractory=2e-3)
    ),
    "adaptive": lambda: sequence(sw.Linear(6, 9), low(sw.AdaptiveLIF, backend="reference")),
    "after-hyperpolarising": lambda: sequence(
        sw.Linear(6, 9), sw.Recurrent(low(sw.AHPLIF, beta=0.05)), sw.Linear(9, 3), sw.LI()
    ),
    "synapses": lambda: sequence(sw.Linear(6, 10), low(sw.MultiSynapseLIF, backend="reference")),
    "recurrent": lambda: sequence(sw.Linear(6, 9), sw.Recurrent(low(sw.CubaLIF))),
    "recurrent with noise": lambda: sequence(
        sw.Linear(6, 9), sw.Recurrent(low(sw.LIF, noise=2.0, refractory=2e-3))
    ),
    "winner take all": lambda: sequence(
        sw.Linear(6, 9),
        sw.WinnerTakeAll(low(sw.AdaptiveLIF, refractory=2e-3), winners=2, clamp=2e-3),
    ),
    "scale and threshold": lambda: sequence(
        sw.Scale(torch.linspace(0.5, 2.0, 6)),
        sw.Linear(6, 9),
        sw.Threshold(v_threshold=0.1),
        sw.Linear(9, 3),
        sw.Integrator(),
    ),
    "euler": lambda: sequence(
        sw.Linear(6, 9), low(sw.LIF, order="euler"), sw.Linear(9, 3), sw.LI(order="euler")
    ),
    "delay": lambda: sequence(sw.Delay([1e-3, 2.5e-3] * 3), sw.Linear(6, 9), low(sw.LIF)),
    "delayed synapses": lambda: sequence(sw.DelayedLinear(6, 9, delays=4e-3), low(sw.LIF)),
    "dropout": lambda: sequence(sw.Dropout(0.5), sw.Linear(6, 9), low(sw.LIF)),
    "images": lambda: sequence(
        sw.Conv2d(1, 2, 3),
        sw.LIF(v_threshold=0.01),
        sw.AvgPool2d(2),
        sw.Flatten(),
        sw.Linear(8, 3),
        sw.LI(),
        inputs=(1, 6, 6),
    ),
    "skip": skip,
}
