"""Networks on the way to the chip, for tests of the passes, the lowering and the artefact."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.compiler.compile import run_passes
from spikewright.compiler.design import Design
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.targets.brainscales2.artefact import OnChip
from spikewright.targets.brainscales2.target import BrainScaleS2
from spikewright.targets.brainscales2.twin import Converter, Link, Twin

TAU: dict[str, Any] = {"tau_mem": 6e-6, "tau_syn": 6e-6}


def design(network: sw.Network) -> Design:
    """A network that no pass of the target has seen."""
    if network.shape is None:
        first: Any = next(iter(network.layers.values()))
        network.build((first.in_features,))
    return Fold().apply(Design(discretise(network.eval())))


def feed_forward(
    *sizes: int, order: str = "held", dt: float = 1e-6, bias: bool = False, **options: Any
) -> sw.Network:
    """Layers that fire, and a readout, without weights of interest."""
    made: dict[str, sw.Layer] = {}
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = k == len(sizes) - 2
        made[f"w{k}"] = sw.Linear(inputs, outputs, bias=bias)
        kind = sw.CubaLI if last else sw.CubaLIF
        made["out" if last else f"n{k}"] = kind(order=order, **{**TAU, **options})
    return sw.Sequential(made, dt=dt)


def with_weights(network: sw.Network, seed: int, **spread: tuple[float, float]) -> sw.Network:
    """The network with normal weights, by layer (mean, standard deviation)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, (mean, deviation) in spread.items():
            layer: Any = network.layers[name]
            weight = getattr(layer, "connection", layer).weight
            weight.copy_(mean + deviation * torch.randn(weight.shape, generator=generator))
    return network


def with_biases(network: sw.Network, seed: int, **spread: float) -> sw.Network:
    """The network with normal biases, by layer their standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, deviation in spread.items():
            layer: Any = network.layers[name]
            bias = getattr(layer, "connection", layer).bias
            bias.copy_(deviation * torch.randn(bias.shape, generator=generator))
    return network


def spikes(steps: int, batch: int, *shape: int, rate: float = 0.1, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *shape, generator=generator) < rate).float()


def ideal(dt: float = 0.05e-6, period: float = 0.5e-6, latency: float = 0.5e-6) -> Twin:
    """A twin as good as a twin can be: no mismatch, no noise, fine in time."""
    converter, link = Converter(period=period, noise=0.0), Link(latency=latency)
    return Twin(mismatch=0.0, noise=0.0, dt=dt, converter=converter, link=link)


def laid(network: sw.Network, x: Tensor, **options: Any) -> tuple[Design, BrainScaleS2]:
    """The design after all passes, and the target."""
    target = BrainScaleS2(**({"chip": ideal()} | options))
    return run_passes(target.passes(x), design(network)), target


def on_chip(network: sw.Network, x: Tensor, **options: Any) -> tuple[OnChip, Design]:
    """The artefact; the network must not break a limit."""
    found, target = laid(network, x, **options)
    assert target.check(found) == []
    return target.lower(found), found
