"""Networks and input spikes for tests of event-driven runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import spikewright as sw

DURATION = 20e-3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_spikes(
    shape: tuple[int, ...], count: int, *, seed: int = 1, batch: int = 2, step: float = 0.0
) -> sw.SpikeTimes:
    """Spikes in the first half of the trial, on a grid of ``step`` seconds if given."""
    draw = seeded(seed)
    units = torch.randint(torch.Size(shape).numel(), (count,), generator=draw)
    samples = torch.randint(batch, (count,), generator=draw)
    times = torch.rand(count, generator=draw, dtype=torch.float64) * DURATION / 2
    times = (times / step).round() * step if step else times
    return sw.SpikeTimes.sort(times, units, samples, (batch, shape, DURATION))


def neurons(**options: Any) -> sw.CubaLIF:
    return sw.CubaLIF(**{"tau_mem": 5e-3, "tau_syn": 2e-3, **options})


def with_weights(network: sw.Network, low: float, high: float, seed: int = 0) -> sw.Network:
    """The network in float64, its weights drawn anew."""
    network = network.double()
    draw = seeded(seed)
    for name, value in network.named_parameters():
        if name.endswith("weight"):
            drawn = torch.rand(value.shape, generator=draw, dtype=torch.float64)
            value.data = low + (high - low) * drawn
            if ".connection." in name:
                value.data *= 0.2
    return network


def delays(*shape: int, longest: float = 1e-3, step: float = 2e-6) -> Tensor:
    """Random delays of whole ``step`` seconds."""
    number = round(longest / step)
    return torch.randint(1, number, shape, generator=seeded(7)).double() * step


def dense(dt: float) -> sw.Network:
    return with_weights(
        sw.Sequential(
            sw.Linear(6, 8, bias=False), neurons(), sw.Linear(8, 4, bias=False), neurons(), dt=dt
        ),
        -0.4,
        1.4,
    )


def convolved(dt: float) -> sw.Network:
    layers = (
        sw.Conv2d(1, 2, 3, bias=False, padding=1, stride=1),
        neurons(),
        sw.SumPool2d(2),
        sw.Flatten(),
        sw.Linear(None, 4, bias=False),
        neurons(),
    )
    return with_weights(sw.Sequential(*layers, dt=dt, shape=(1, 6, 6)), 0.1, 1.9)


def delayed(dt: float) -> sw.Network:
    layers = (
        sw.Delay(delays(6), maximum=1e-3),
        sw.DelayedLinear(6, 8, delays(8, 6), maximum=1e-3, bias=False),
        neurons(),
        sw.Delay(3e-4),
        sw.Linear(8, 4, bias=False),
        neurons(),
    )
    return with_weights(sw.Sequential(*layers, dt=dt), -0.4, 1.3)


def recurrent(dt: float) -> sw.Network:
    back = sw.DelayedLinear(8, 8, delays(8, 8), maximum=1e-3, bias=False)
    layers = (
        sw.Linear(6, 8, bias=False),
        sw.Recurrent(neurons(), back),
        sw.Linear(8, 4, bias=False),
        neurons(),
    )
    return with_weights(sw.Sequential(*layers, dt=dt), -0.4, 1.3)


def skipping(dt: float) -> sw.Network:
    layers = {
        "in": sw.Linear(6, 8, bias=False),
        "hidden": neurons(),
        "across": sw.Linear(8, 8, bias=False),
        "skip": sw.Scale(torch.linspace(0.2, 0.8, 8)),
        "past": sw.Linear(6, 8, bias=False),
        "out": neurons(),
    }
    edges = [
        ("input", "in"),
        ("in", "hidden"),
        ("hidden", "across"),
        ("hidden", "skip"),
        ("input", "past"),
        ("across", "out"),
        ("skip", "out"),
        ("past", "out"),
    ]
    return with_weights(sw.Graph(layers, edges, dt=dt, shape=(6,)), -0.6, 1.2)
