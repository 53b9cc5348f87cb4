"""What keeps a network from learning by local plasticity, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from spikewright.engine.plastic.description import Plasticity
from spikewright.learning.doctor import SATURATED_ABOVE, SILENT_BELOW, Diagnosis, LayerHealth
from spikewright.network import Network

FEW_WINNERS = 0.5
STUCK = 0.95
_EDGE = 1e-3


def examine(
    network: Network, plastic: Mapping[str, Plasticity], counts: Mapping[str, Tensor], steps: int
) -> Diagnosis:
    """Judge layers by their spikes, and connections by their weights.

    Args:
        network: as it was when it spiked.
        plastic: what changes the weights of which connection.
        counts: spikes of each layer, (batch, *n).
        steps: of a sample.
    """
    learning = {
        target: name
        for target, sources in network.sources.items()
        for name in plastic
        if name in sources
    }
    found = [_health(name, spikes, steps) for name, spikes in counts.items()]
    advice = [line for health in found for line in _advise(health, learning.get(health.name))]
    for name, program in plastic.items():
        advice += _judge(name, network.layers[name], program)
    return Diagnosis(tuple(found), tuple(advice))


def _health(name: str, spikes: Tensor, steps: int) -> LayerHealth:
    spikes = spikes.flatten(1).double()
    silent = float((spikes.sum(0) == 0).double().mean())
    return LayerHealth(name, float(spikes.mean()) / steps, silent, in_window=None, gradient=None)


def _advise(health: LayerHealth, connection: str | None) -> Iterator[str]:
    """What to change in a layer; ``connection`` leads to it and learns."""
    name = f"layer {health.name!r}"
    if health.silent == 1 or (connection is None and health.rate < SILENT_BELOW):
        way = (
            f"layer {connection!r} learns at its spikes and stays as it is; raise r of the "
            "neurons or normalise, or lower v_threshold"
            if connection
            else "raise the input or r, or lower v_threshold"
        )
        yield f"{name} is silent: {way}. Thresholds that rose sink with a shorter tau_adapt."
    elif health.rate > SATURATED_ABOVE:
        yield (
            f"{name} fires all the time ({health.rate:.2f} spikes a step), which drives all its "
            "weights one way: lower r or normalise, raise v_threshold, give it a refractory "
            "period, or let neurons compete in a WinnerTakeAll."
        )
    elif connection and health.silent > FEW_WINNERS:
        yield (
            f"{name}: {health.silent:.0%} of its neurons never fire, a few win all: let thresholds "
            "adapt (AdaptiveLIF, tau_adapt of many samples), raise beta, or normalise the weights."
        )


def _judge(name: str, layer: Any, program: Plasticity) -> Iterator[str]:
    """What to change where most weights of a connection stand at one bound."""
    low, high = program.bounds
    weights = layer.weight.detach()
    edge = _EDGE * (high - low)
    for bound, share in (("least", weights <= low + edge), ("greatest", weights >= high - edge)):
        part = float(share.double().mean())
        if part > STUCK:
            yield (
                f"layer {name!r}: {part:.0%} of its weights are at the {bound} bound, so that "
                "neurons cannot differ: lower the learning rate, balance growth and decay, or use "
                "soft bounds."
            )
