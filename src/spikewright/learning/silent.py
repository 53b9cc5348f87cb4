"""What to do about silent neurons, to which no spike carries a gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from spikewright import seeding
from spikewright.connections.base import Connection
from spikewright.errors import ParameterError
from spikewright.learning.processes import average
from spikewright.network import Network


class Seen(NamedTuple):
    """What a policy knows of a training step.

    Args:
        counts: spikes by layer, (batch, *n).
        targets: (batch,) classes.
        step: number of the step, from 0.
        key: seed of what is drawn.
    """

    counts: Mapping[str, Tensor]
    targets: Tensor
    step: int
    key: int


@runtime_checkable
class SilentPolicy(Protocol):
    """Changes weights of neurons that did not spike, after each step; its state is a value."""

    def requirements(self, network: Network) -> list[str]:
        """Why it cannot act on ``network``; else empty."""
        ...

    def start(self, network: Network) -> dict[str, Any]:
        """The state before the first batch."""
        ...

    def apply(self, network: Network, seen: Seen, state: dict[str, Any]) -> dict[str, Any]:
        """Change weights in place, where no gradient is followed; return the next state."""
        ...


@dataclass(frozen=True)
class PushLabels:
    """Raise the weights into outputs that should have spiked as their class and did not.

    w <- w + rate * share * |w|, where share is the part of the batch of which the output is the
    label and silent. Bacho and Chu (2023) offer it with the loss on first spikes.

    Args:
        rate: relative change where an output is the label of every sample and silent in all.
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        _check_positive("PushLabels", "rate", self.rate)

    def requirements(self, network: Network) -> list[str]:
        """Why it cannot act on ``network``; else empty."""
        last = next(reversed(network.layers))
        if network.layers[last].spiking:
            return []
        return [
            f"layer {last!r}: PushLabels raises weights of silent outputs, and it gives a "
            "membrane; leave the policy out"
        ]

    def start(self, network: Network) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def apply(self, network: Network, seen: Seen, state: dict[str, Any]) -> dict[str, Any]:
        """Change weights in place; return the next state."""
        last = next(reversed(network.layers))
        label = functional.one_hot(seen.targets, seen.counts[last].shape[1]) > 0
        share = (label & (seen.counts[last] == 0)).double().mean(0)
        average([share], len(seen.targets))
        for weight in weights_into(network, last).values():
            rows = share.reshape(len(weight), -1).mean(1)
            weight.add_(self.rate * _along(rows, weight) * weight.abs())
        return state


@dataclass(frozen=True)
class RaiseSilent:
    """Raise the weights into neurons that were silent over a whole batch.

    w <- w + amount * mean |w|, the mean over the connection's weights. Of a convolution a channel
    counts as silent if all its neurons are. Yamamoto, Sakemi and Aihara (2022) need it where
    neurons may spike once, as do others that follow spike times.

    Args:
        amount: part of the connection's mean absolute weight.
    """

    amount: float = 0.05

    def __post_init__(self) -> None:
        _check_positive("RaiseSilent", "amount", self.amount)

    def requirements(self, network: Network) -> list[str]:
        """Nothing keeps it from acting."""
        return []

    def start(self, network: Network) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def apply(self, network: Network, seen: Seen, state: dict[str, Any]) -> dict[str, Any]:
        """Change weights in place; return the next state."""
        for name in seen.counts:
            rates = _rates(seen, name)
            for weight in weights_into(network, name).values():
                silent = _rows(rates == 0, weight)
                weight.add_(self.amount * weight.abs().mean() * _along(silent, weight))
        return state


@dataclass(frozen=True)
class RedrawSilent:
    """Draw the weights into hidden neurons anew that were silent for so many steps.

    Normal numbers with the mean and the standard deviation that the connection's weights had
    before the first batch. Rewiring of Nowotny, Turner and Knight (2025), once an epoch there.

    Args:
        steps: after each of which it looks; the batches of an epoch, say.
    """

    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ParameterError(
                f"silent.RedrawSilent: steps must be a whole number from 1, got {self.steps!r}. "
                "Use the number of batches in an epoch."
            )

    def requirements(self, network: Network) -> list[str]:
        """Nothing keeps it from acting."""
        return []

    def start(self, network: Network) -> dict[str, Any]:
        """How the weights are distributed, and that no neuron has spiked yet."""
        drawn: dict[str, Any] = {}
        for layer in _hidden(network):
            for name, weight in weights_into(network, layer).items():
                values = weight.detach()
                drawn[name] = (float(values.mean()), float(values.std(unbiased=False)))
        return {"drawn": drawn, "fired": {}}

    def apply(self, network: Network, seen: Seen, state: dict[str, Any]) -> dict[str, Any]:
        """Change weights in place; return the next state."""
        fired: dict[str, Tensor] = {}
        for layer in _hidden(network):
            now = _rates(seen, layer) > 0
            fired[layer] = now | state["fired"].get(layer, now)
        if (seen.step + 1) % self.steps:
            return {**state, "fired": fired}
        for layer, alive in fired.items():
            for name, weight in weights_into(network, layer).items():
                random = seeding.generator(seen.key, "redraw", seen.step, name)
                fresh = torch.randn(weight.shape, generator=random).to(weight)
                mean, spread = state["drawn"][name]
                silent = _rows(~alive, weight)
                weight[silent] = (mean + spread * fresh)[silent]
        return {**state, "fired": {}}


def _hidden(network: Network) -> Iterator[str]:
    last = next(reversed(network.layers))
    return (name for name, layer in network.layers.items() if layer.spiking and name != last)


def _rates(seen: Seen, name: str) -> Tensor:
    """Mean spikes of each neuron over the batch of all processes, (neurons,)."""
    rates = seen.counts[name].double().flatten(1).mean(0)
    average([rates], len(seen.targets))
    return rates


def weights_into(network: Network, name: str) -> dict[str, Tensor]:
    """The weights that may change of the connections into a layer, by the names of those.

    They are looked for through layers without weights, such as Flatten.
    """
    found: dict[str, Tensor] = {}
    for source in network.sources[name]:
        layer = network.layers.get(source)
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor):
            found |= {source: weight} if weight.requires_grad else {}
        elif isinstance(layer, Connection):  # what comes between weights and neurons, Flatten say
            found |= weights_into(network, source)
    return found


def _rows(neurons: Tensor, weight: Tensor) -> Tensor:
    """Of booleans for each neuron those for each row of a weight: all neurons that share it."""
    return neurons.reshape(len(weight), -1).all(1)


def _along(rows: Tensor, weight: Tensor) -> Tensor:
    """A value for each row of a weight, to be multiplied with it."""
    return rows.to(weight).reshape(-1, *[1] * (weight.ndim - 1))


def _check_positive(where: str, name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ParameterError(
            f"silent.{where}: {name} must be positive and finite, got {value!r}. "
            "Leave the policy out for none."
        )
