"""A network as the stochastic rule reads it: a chain of weights, neurons and dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikewright.connections import Dropout, Linear
from spikewright.network import Network
from spikewright.network.base import INPUT
from spikewright.neurons import SoftmaxWinner, StochasticReLU
from spikewright.neurons.stochastic import StochasticNeuron

SHAPE = "Sequential(Linear, StochasticReLU, ..., Linear, SoftmaxWinner), Dropout before any Linear"


@dataclass(frozen=True)
class Link:
    """Weights and the neurons that they lead to; ``dropout`` silences inputs of the weights."""

    wires: Linear
    wires_name: str
    cells: StochasticNeuron
    name: str
    dropout: float

    @property
    def gain(self) -> float:
        """What the inputs that dropout leaves are multiplied with."""
        return 1 / (1 - self.dropout)

    @property
    def least(self) -> float:
        """Least weight of a new input in the neurons' means."""
        return float(self.cells.bound_coefficients().least)


def links(network: Network) -> list[Link]:
    """The links of a network that has no `problems`."""
    found: list[Link] = []
    wires, wires_name, dropout = None, "", 0.0
    for name, layer in network.layers.items():
        if isinstance(layer, Dropout):
            dropout = layer.p
        elif isinstance(layer, Linear):
            wires, wires_name = layer, name
        elif isinstance(layer, StochasticNeuron) and wires is not None:
            found.append(Link(wires, wires_name, layer, name, dropout))
            wires, dropout = None, 0.0
    return found


def problems(network: nn.Module) -> list[str]:
    """Why the rule cannot train a network: one line a layer; else empty."""
    if not isinstance(network, Network):
        return [f"network: must be a spikewright Network, is {type(network).__name__}"]
    found = [*_order(network), *_places(network)]
    return found or _options(network)


def _order(network: Network) -> list[str]:
    """Whether layers follow each other as they should."""
    found: list[str] = []
    expected, before = (Dropout, Linear), INPUT
    names = list(network.layers)
    for name, layer in network.layers.items():
        kinds = " or ".join(kind.__name__ for kind in expected)
        if network.sources[name] != (before,):
            found.append(f"layer {name!r}: must follow {before!r} alone; use Sequential")
        if not isinstance(layer, expected):
            kind = type(layer).__name__
            return [*found, f"layer {name!r}: is {kind} where {kinds} must be; use {SHAPE}"]
        before = name
        if isinstance(layer, Dropout):
            expected = (Linear,)
        elif isinstance(layer, Linear):
            expected = (SoftmaxWinner,) if name == names[-2] else (StochasticReLU,)
        else:
            expected = (Dropout, Linear)
    if not isinstance(network.layers[before], SoftmaxWinner):
        found.append(f"layer {before!r}: must be SoftmaxWinner, the last one; use {SHAPE}")
    return found


def _places(network: Network) -> list[str]:
    return [
        f"parameter {name!r}: is on {value.device}; the rule runs on the CPU, so call "
        "network.to('cpu')"
        for name, value in network.named_parameters()
        if value.device.type != "cpu"
    ]


def _options(network: Network) -> list[str]:
    found: list[str] = []
    for link in links(network):
        forget = link.cells.parameter_set.value("forget")
        if forget.numel() > 1 or forget.requires_grad:
            found.append(f"layer {link.name!r}: forget must be one number that is not learnable")
    return found


@dataclass(frozen=True)
class Packed:
    """A chain's numbers, as the kernels take them."""

    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]
    weight_starts: NDArray[np.int64]
    forward: NDArray[np.float32]
    backward: NDArray[np.float32]
    bias: NDArray[np.float32]
    gain: NDArray[np.float32]
    kept: NDArray[np.float32]

    def block(self, counts: NDArray[np.int32], layer: int) -> NDArray[np.int32]:
        """The part of a row of counts that belongs to the weights into a layer, (out, in)."""
        rows, columns = int(self.sizes[layer - 1]), int(self.sizes[layer])
        start = int(self.weight_starts[layer])
        return counts[start : start + rows * columns].reshape(rows, columns).T


def pack(chain: list[Link], *, learn: bool) -> Packed:
    """Copy the weights into rows; ``learn`` says whether dropout acts."""
    sizes = [int(chain[0].wires.in_features or 0), *(link.wires.out_features for link in chain)]
    blocks = [a * b for a, b in pairwise(sizes)]
    weights = [_floats(link.wires.weight) for link in chain]
    biases = [np.zeros(sizes[0], np.float32)]
    for link, size in zip(chain, sizes[1:], strict=True):
        given = link.wires.bias
        biases.append(np.zeros(size, np.float32) if given is None else _floats(given))
    dropped = [link.dropout if learn else 0.0 for link in chain]
    return Packed(
        sizes=np.array(sizes, np.int64),
        starts=np.cumsum([0, *sizes]),
        weight_starts=np.cumsum([0, 0, *blocks]),
        forward=np.concatenate([w.T.ravel() for w in weights]),
        backward=np.concatenate([w.ravel() for w in weights]),
        bias=np.concatenate(biases),
        gain=np.array([1.0, *(1 / (1 - p) for p in dropped)], np.float32),
        kept=np.array([*(1 - p for p in dropped), 1.0], np.float32),
    )


def _floats(value: Tensor) -> NDArray[np.float32]:
    return value.detach().float().numpy()


def draw_weights(network: Network, spread: float = 1.4, bias: float = 0.2) -> None:
    """First weights with which most hidden neurons are neither silent nor always firing.

    Weights are normal with standard deviation ``spread / sqrt(inputs)``, 0.05 for 784 inputs,
    biases of hidden layers ``bias``; those of the last layer are zero. Draws from torch's stream.
    """
    chain = links(network)
    with torch.no_grad():
        for link in chain:
            link.wires.weight.normal_(0.0, spread / math.sqrt(link.wires.in_features or 1))
            if link.wires.bias is not None:
                link.wires.bias.fill_(0.0 if link is chain[-1] else bias)


def as_chain(network: Any) -> list[Link]:
    """`links`, of a network that was checked."""
    assert isinstance(network, Network)
    return links(network)
