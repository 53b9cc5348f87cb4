"""Networks that targets accept or refuse, all active on their input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

import spikewright as sw
from spikewright.models import bit_shift_tau

DT = 1e-6
MANY, SILENT = 100, 99
CHANNELS = 16
TAU = {"tau_mem": 6e-6, "tau_syn": 6e-6}


def spikes(*shape: int, rate: float = 0.15, steps: int = 40, batch: int = 6) -> Tensor:
    """Random input spikes, (time, batch, *shape)."""
    generator = torch.Generator().manual_seed(11)
    return (torch.rand(steps, batch, *shape, generator=generator) < rate).float()


def scaled(network: sw.Network, **factors: float) -> sw.Network:
    """The network with the weights of some layers multiplied."""
    with torch.no_grad():
        for name, factor in factors.items():
            layer: Any = network.layers[name]
            getattr(layer, "connection", layer).weight.mul_(factor)
    return network


def layers(
    hidden: sw.Layer, width: int = 16, readout: sw.Layer | None = None
) -> dict[str, sw.Layer]:
    """5 inputs, some neurons, a readout of 3."""
    return {
        "in": sw.Linear(5, width, bias=False), "hidden": hidden,
        "w": sw.Linear(width, 3, bias=False), "out": readout or sw.CubaLI(**TAU),
    }  # fmt: skip


def dense(width: int = 16) -> sw.Network:
    torch.manual_seed(0)
    network = sw.Sequential(layers(sw.CubaLIF(**TAU), width), dt=DT)
    with torch.no_grad():
        network.layers["in"].weight.normal_(0.6, 0.6)
    return network


def recurrent() -> sw.Network:
    torch.manual_seed(1)
    network = sw.Sequential(layers(sw.Recurrent(sw.CubaLIF(**TAU))), dt=DT)
    with torch.no_grad():
        network.layers["in"].weight.normal_(0.6, 0.6)
    return network


def deep() -> sw.Network:
    torch.manual_seed(2)
    network = sw.Sequential(
        {
            "in": sw.Linear(5, 20, bias=False), "first": sw.CubaLIF(**TAU),
            "between": sw.Linear(20, 12, bias=False), "second": sw.CubaLIF(**TAU),
            "w": sw.Linear(12, 3, bias=False), "out": sw.CubaLI(**TAU),
        },
        dt=DT,
    )  # fmt: skip
    with torch.no_grad():
        network.layers["in"].weight.normal_(0.6, 0.6)
        network.layers["between"].weight.normal_(0.3, 0.5)
    return network


def convolution() -> sw.Network:
    torch.manual_seed(3)
    return scaled(
        sw.Sequential(
            {
                "conv": sw.Conv2d(1, 3, 3), "norm": sw.BatchNorm(), "lif": sw.LIF(r=20.0),
                "pool": sw.AvgPool2d(2), "flat": sw.Flatten(), "w": sw.Linear(12, 4),
                "out": sw.IF(),
            },
            dt=1e-3, shape=(1, 6, 6),
        ),
        w=6.0,
    )  # fmt: skip


def adaptive() -> sw.Network:
    """Options that few devices have: adaptation, refractory neurons, several spikes a step."""
    torch.manual_seed(4)
    firing = sw.Firing(reset="subtract", max_spikes=3)
    return scaled(
        sw.Sequential(
            {
                "in": sw.Linear(5, 10), "adaptive": sw.AdaptiveLIF(r=20.0),
                "b": sw.Linear(10, 8), "counted": sw.IF(firing=firing),
                "c": sw.Linear(8, 4), "held": sw.LIF(r=20.0, refractory=3e-3),
            },
            dt=1e-3,
        ),
        b=6.0,
        c=6.0,
    ).eval()  # fmt: skip


def noisy() -> sw.Network:
    torch.manual_seed(5)
    return scaled(sw.Sequential(layers(sw.LIF(r=20.0, noise=3.0), readout=sw.LI()), dt=1e-3))


def delayed() -> sw.Network:
    torch.manual_seed(6)
    delays = torch.randint(0, 4, (8, 5)) * 1e-3
    return scaled(
        sw.Sequential(
            {
                "in": sw.DelayedLinear(5, 8, delays, 4e-3), "lif": sw.LIF(r=40.0),
                "out": sw.Delay(2e-3, 4e-3),
            },
            dt=1e-3,
        ),
        **{"in": 3.0},
    )  # fmt: skip


class Quadratic(NamedTuple):
    """State of `Theta`."""

    v: Tensor


@dataclass(frozen=True)
class ThetaParams:
    """A gain without unit."""

    gain: float = 0.5


class Theta(sw.Neuron):
    """A neuron that a user wrote: v <- 0.9 v + gain (v^2 + x), a spike above 1."""

    Params, State = ThetaParams, Quadratic

    @staticmethod
    def coefficients(params: Any, dt: float) -> Any:
        return (params.gain,)

    @staticmethod
    def step(x: Tensor, state: Quadratic, c: Any) -> tuple[Tensor, Quadratic]:
        v = 0.9 * state.v + c[0] * (state.v * state.v + x)
        fired = sw.spike(v - 1.0)
        return fired, Quadratic(v * (1 - fired))


def own_neuron() -> sw.Network:
    torch.manual_seed(7)
    return scaled(sw.Sequential(layers(Theta(), readout=sw.LI()), dt=1e-3), **{"in": 2.0})


def graph() -> sw.Network:
    torch.manual_seed(8)
    return scaled(
        sw.Graph(
            {
                "in": sw.Linear(5, 6), "a": sw.IF(), "b": sw.Linear(6, 6), "c": sw.IF(),
                "w": sw.Linear(6, 3), "out": sw.LI(),
            },
            edges=[
                ("input", "in"), ("in", "a"), ("a", "b"), ("b", "c"), ("a", "w"), ("c", "w"),
                ("w", "out"),
            ],
            dt=1e-3, shape=(5,),
        ),
        b=4.0,
        **{"in": 4.0},
    )  # fmt: skip


def outlier() -> sw.Network:
    """Many small weights, and one, of a channel that never spikes, beside which they are zero."""
    torch.manual_seed(9)
    network = sw.Sequential(
        {**layers(sw.CubaLIF(**TAU)), "in": sw.Linear(MANY, 16, bias=False)}, dt=DT
    )
    with torch.no_grad():
        network.layers["in"].weight.fill_(0.04)
        network.layers["in"].weight[0, SILENT] = 1e4
    return network


NETWORKS: dict[str, Callable[[], sw.Network]] = {
    made.__name__: made
    for made in (
        dense, recurrent, deep, convolution, adaptive, noisy, delayed, own_neuron, graph, outlier,
    )
}  # fmt: skip
NETWORKS["wide"] = lambda: dense(width=600)


def counting(width: int = 16, inputs: int = 5) -> sw.Network:
    """Neurons that fire several times a step and subtract their threshold each time, in ms."""
    torch.manual_seed(10)
    times = {"tau_mem": bit_shift_tau(4e-3, 1e-3), "tau_syn": bit_shift_tau(8e-3, 1e-3)}
    firing = sw.Firing(reset="subtract", max_spikes=31, inclusive=True)
    made = layers(sw.CubaLIF(**times, firing=firing), width, sw.CubaLI(**times))
    network = sw.Sequential({**made, "in": sw.Linear(inputs, width, bias=False)}, dt=1e-3)
    with torch.no_grad():
        network.layers["in"].weight.normal_(1.0, 2.0)
    return network


NETWORKS["counting"] = counting
NETWORKS["counting_wide"] = lambda: counting(width=1001)


def counting_outlier() -> sw.Network:
    """As `outlier`."""
    network = counting(inputs=CHANNELS)
    with torch.no_grad():
        network.layers["in"].weight.fill_(0.1)
        network.layers["in"].weight[0, CHANNELS - 1] = 1e4
    return network


NETWORKS["counting_outlier"] = counting_outlier


def example(name: str) -> tuple[sw.Network, Tensor]:
    """A network in evaluation mode and an input that it is active on."""
    network = NETWORKS[name]().eval()
    x = spikes(*(network.shape or (5,)), rate=0.04 if network.dt == DT else 0.15)
    if name == "outlier":
        x = spikes(MANY, rate=0.1)
        x[..., SILENT] = 0.0
    if name == "counting_outlier":
        x = spikes(CHANNELS, rate=0.3)
        x[..., CHANNELS - 1] = 0.0
    return network, x
