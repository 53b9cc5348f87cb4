"""Programs that stand in the forward pass: the software itself, or numbers written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

import spikewright as sw
from spikewright.engine.forward import ForwardProgram, Observation, forward_by

FIELDS = ("spikes", "v", "output")


@dataclass
class Itself:
    """A device equal to the model: the network's own spikes, membranes and outputs.

    Args:
        fields: what it shows.
        blind: layers it shows nothing of.
        calls: how often it was asked.
    """

    fields: tuple[str, ...] = FIELDS
    blind: tuple[str, ...] = ()
    calls: int = field(default=0, repr=False)

    kind = "the model itself"

    def observe(self, network: sw.Network, x: Tensor) -> Mapping[str, Observation]:
        self.calls += 1
        records = network.run(x, record=("spikes", "v")).records
        return {
            name: self._of(network.layers[name], traces)
            for name, traces in records.items()
            if name not in self.blind
        }

    def _of(self, layer: sw.Layer, traces: Mapping[str, Tensor]) -> Observation:
        seen = dict(traces) if layer.spiking else {"v": traces["v"], "output": traces["v"]}
        return Observation(**{name: seen[name] for name in self.fields if name in seen})


@dataclass
class Scripted:
    """A device that shows what it is told to, or what a function makes of network and input."""

    shows: Mapping[str, Observation] | Callable[[sw.Network, Tensor], Mapping[str, Observation]]

    kind = "a script"

    def observe(self, network: sw.Network, x: Tensor) -> Mapping[str, Observation]:
        return self.shows(network, x) if callable(self.shows) else self.shows


def run_by(
    program: ForwardProgram | None, network: sw.Network, x: Tensor, **options: object
) -> tuple[sw.network.Run, dict[str, Tensor]]:
    """A run and the gradients of a random function of its output, membranes and spikes."""
    network.zero_grad()
    x = x.detach().clone().requires_grad_()
    with forward_by(program):
        run = network.run(x, record=("spikes", "v"), **options)  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(5)
    loss = torch.zeros((), dtype=run.output.dtype)
    for value in [run.output, *(t for traces in run.records.values() for t in traces.values())]:
        weight = torch.rand(value.shape, generator=random, dtype=torch.float64)
        loss = loss + (weight.to(value) * value).sum()
    loss.backward()
    grads = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    assert x.grad is not None
    return run, {**grads, "x": x.grad}


def random_view(network: sw.Network, x: Tensor, seed: int = 3) -> dict[str, Observation]:
    """Spikes and membranes at random, with gaps, as unlike the model as can be."""
    random = torch.Generator().manual_seed(seed)
    seen: dict[str, Observation] = {}
    for name, traces in network.run(x.detach(), record=("v",)).records.items():
        v = torch.randn(traces["v"].shape, generator=random, dtype=torch.float64)
        gaps = torch.rand(v.shape, generator=random) < 0.4
        spikes = (torch.rand(v.shape, generator=random) < 0.3).to(v)
        membrane = torch.where(gaps, torch.nan, v)
        shows = {"spikes": spikes} if network.layers[name].spiking else {"output": v}
        seen[name] = Observation(v=membrane, **shows)
    return seen
