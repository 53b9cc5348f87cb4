"""Which networks desire backpropagation trains, and what its kernels need to know of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikewright.connections import Dropout, Linear
from spikewright.engine.layer import Layer
from spikewright.network import INPUT, Network
from spikewright.neurons import IF, LIF

Cells = tuple[float, float, float, float]
"""Decay over a step, gain of the input, least potential that fires, and threshold."""


@dataclass(frozen=True)
class Stage:
    """Weights and the neurons that they lead to.

    Args:
        wires, neurons: names of the two layers.
        weight: (outputs, inputs), changed in place.
        dropout: share of the inputs that a sample goes without in training.
    """

    wires: str
    neurons: str
    weight: Tensor
    cells: Cells
    dropout: float


class Chain(NamedTuple):
    """A network as its kernels see it: neurons that turn currents to spikes, and the stages."""

    encoder: tuple[str, Cells] | None
    stages: tuple[Stage, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of all numbers."""
        return self.stages[0].weight.detach().numpy().dtype


def requirements(network: Network) -> list[str]:
    """Why ``network`` cannot be trained: one line a layer, with its name; else empty.

    It must be a chain of Linear without bias and LIF or IF that subtract their threshold, with
    Dropout where it is wanted; neurons may come first, to turn currents into spikes.

    >>> from spikewright import LIF, Linear, Sequential
    >>> requirements(Sequential(Linear(2, 3), LIF(), dt=1e-3))
    ["layer '0_linear': has a bias, which no spike changes. Make it with bias=False.",
     "layer '1_lif': resets to a value. Use firing=sw.Firing(reset='subtract')."]
    """
    lines = [
        f"layer {name!r}: {problem}"
        for name, layer in network.layers.items()
        for problem in [_problem(layer)]
        if problem is not None
    ]
    return lines or _problems_of_order(network) or _problems_of_weights(network)


def _problem(layer: Layer) -> str | None:
    if isinstance(layer, Linear):
        if layer.bias is not None:
            return "has a bias, which no spike changes. Make it with bias=False."
        return None
    if type(layer) in (LIF, IF):
        return _problem_of_neurons(layer)
    if isinstance(layer, Dropout):
        return None
    return (
        f"{type(layer).__name__} has no rule for desires. Use Linear, LIF, IF and Dropout, and "
        "flatten images in the data."
    )


def _problem_of_neurons(layer: Any) -> str | None:
    firing, values = layer.firing, layer.parameter_set
    if firing.reset != "subtract":
        does = "resets to a value" if firing.reset == "to_value" else "does not reset"
        return f"{does}. Use firing=sw.Firing(reset='subtract')."
    if firing.max_spikes > 1:
        return "counts several spikes in a step. Use max_spikes=1."
    if layer.noise or layer.refractory:
        return "has noise or is refractory, which desires do not know. Leave both out."
    if list(values.parameters()):
        return "has learnable parameters, which desires do not change. Give plain numbers."
    if any(value.numel() > 1 for value in values.stored()):
        return "has parameters that differ between its neurons. Give numbers for the whole layer."
    if "v_leak" in values.fields and float(values.value("v_leak")) != 0:
        return "has its rest elsewhere than at 0. Measure potentials from rest, v_leak=0."
    return None


def _problems_of_order(network: Network) -> list[str]:
    """Where layers do not follow each other as they must."""
    lines: list[str] = []
    names = [INPUT, *network.layers]
    for before, name in pairwise(names):
        if network.sources[name] != (before,):
            lines.append(f"layer {name!r}: takes its input from elsewhere than the layer before.")
    kinds = [_kind(layer) for layer in network.layers.values()]
    for name, kind, before in zip(network.layers, kinds, ["", *kinds], strict=False):
        if kind == before:
            lines.append(f"layer {name!r}: follows another of its kind. Leave out one of the two.")
        elif {kind, before} == {"drop", "wires"} and kind == "drop":
            lines.append(f"layer {name!r}: drops currents. Put it in front of the weights.")
        elif {kind, before} == {"cells", "drop"} and kind == "cells":
            lines.append(f"layer {name!r}: follows Dropout without weights between. Add a Linear.")
    last = next(reversed(network.layers))
    if kinds[-1] != "cells" or "wires" not in kinds:
        lines.append(f"layer {last!r}: must be neurons behind weights, for they hold the classes.")
    return lines


def _kind(layer: Layer) -> str:
    if isinstance(layer, Linear):
        return "wires"
    return "drop" if isinstance(layer, Dropout) else "cells"


def _problems_of_weights(network: Network) -> list[str]:
    """Weights that kernels cannot change in place."""
    weights = {n: w.weight for n, w in network.layers.items() if isinstance(w, Linear)}
    lines: list[str] = []
    dtypes = {weight.dtype for weight in weights.values()}
    for name, weight in weights.items():
        if weight.device.type != "cpu" or not weight.is_contiguous():
            lines.append(f"layer {name!r}: must hold its weights in one piece on the CPU.")
        elif weight.dtype not in (torch.float32, torch.float64) or len(dtypes) > 1:
            lines.append(f"layer {name!r}: weights must all be float32 or all float64.")
        elif not weight.requires_grad:
            lines.append(f"layer {name!r}: its weights are frozen. Let requires_grad be True.")
    return lines


def chain_of(network: Network) -> Chain:
    """What the kernels need of a network that meets `requirements` and knows its sizes."""
    encoder: tuple[str, Cells] | None = None
    stages: list[Stage] = []
    wires: tuple[str, Any] | None = None
    dropout = 0.0
    for name, layer in network.layers.items():
        if isinstance(layer, Dropout):
            dropout = layer.p
        elif isinstance(layer, Linear):
            wires = (name, layer.weight)
        elif wires is None:
            encoder = (name, cells_of(layer))
        else:
            stages.append(Stage(wires[0], name, wires[1], cells_of(layer), dropout))
            dropout = 0.0
    return Chain(encoder, tuple(stages))


def cells_of(layer: Any) -> Cells:
    """Numbers of a layer of `LIF` or `IF`, in its own precision."""
    c = layer.bound_coefficients()
    threshold = c.v_threshold.detach()
    level = threshold
    if not layer.firing.inclusive:
        level = torch.nextafter(threshold, torch.full_like(threshold, math.inf))
    decay, gain = (c.decay, c.gain) if isinstance(layer, LIF) else (torch.tensor(1.0), c.r)
    return float(decay), float(gain), float(level), float(threshold)
