"""How far the rates of a spiking network are the activations of its ReLU twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.borrow import in_mode
from spikewright.learning.proxy.spiking import STEPS_AT_ONCE, one_step, run_spiking
from spikewright.learning.proxy.twin import Statistics, Twin
from spikewright.learning.rule import Batch
from spikewright.network import Network


@dataclass(frozen=True)
class LayerAgreement:
    """One layer of neurons beside its ReLUs.

    Attributes:
        rate: spikes per step and neuron.
        activation: mean activation of the twin's layer, spikes per step and neuron.
        correlation: Pearson's, over samples and neurons; NaN where one of both is constant.
        saturated: share of (sample, neuron) that fire as often as they can at every step.
        quiet: share of (sample, neuron) without a spike, though the twin's activation is positive.
        following: share of (sample, neuron) that fire, but not as often as they can: where the
            rate follows the input as the ReLU does.
        dead: share of neurons without a spike in the whole batch.
        most: the most spikes of a neuron in one step.
    """

    name: str
    rate: float
    activation: float
    correlation: float
    saturated: float
    quiet: float
    following: float
    dead: float
    most: int = 1


@dataclass(frozen=True)
class Agreement:
    """`LayerAgreement` of each layer, in order."""

    layers: tuple[LayerAgreement, ...]

    def __getitem__(self, name: str) -> LayerAgreement:
        return next(layer for layer in self.layers if layer.name == name)

    def __str__(self) -> str:
        width = max([len("layer"), *(len(layer.name) for layer in self.layers)])
        head = f"{'layer':<{width}}    rate    ReLU  correlation  saturated   quiet    dead"
        rows = [
            f"{it.name:<{width}}  {it.rate:6.3f}  {it.activation:6.3f}  {it.correlation:11.3f}  "
            f"{it.saturated:9.1%}  {it.quiet:6.1%}  {it.dead:6.1%}"
            for it in self.layers
        ]
        return "\n".join([head, *rows])


def agreement(
    network: Network, batch: Batch | tuple[Tensor, Tensor], statistics: Statistics | None = None
) -> Agreement:
    """Compare the spiking network with its twin on a batch, layer by layer, in evaluation mode.

    Args:
        batch: input (time, batch, *features) and targets, which are not used.
        statistics: ``rule_state["statistics"]`` of `Proxy`; by default the network's own.

    >>> from spikewright import IF, Firing, Linear, Sequential
    >>> net = Sequential(Linear(2, 1, bias=False), IF(firing=Firing(reset="subtract")), dt=1e-3)
    >>> _ = torch.nn.init.constant_(net.layers["0_linear"].weight, 0.5)
    >>> x = torch.tensor([[0.2, 0.3], [0.5, 0.4], [2.0, 2.0]]).expand(100, -1, -1)
    >>> found = agreement(net, (x, torch.zeros(3)))["1_if"]
    >>> round(found.rate, 2), round(found.activation, 2), round(found.saturated, 2)
    (0.56, 0.9, 0.33)
    """
    x = network.to_floating(batch[0])
    with in_mode(network, training=False), torch.no_grad():
        fired = run_spiking(network, x, STEPS_AT_ONCE)
        values = Twin(network, statistics).run(one_step(x))
    return Agreement(
        tuple(
            _compare(network.layers[name], name, counts / fired.steps, values[name].relu())
            for name, counts in fired.counts.items()
        )
    )


def _compare(layer: Any, name: str, rates: Tensor, activations: Tensor) -> LayerAgreement:
    most = layer.firing.max_spikes
    both = torch.stack([rates.flatten(), activations.flatten().to(rates.dtype)]).double()
    deviations = both - both.mean(1, keepdim=True)
    norms = deviations.norm(dim=1).prod()
    return LayerAgreement(
        name=name,
        rate=float(rates.mean()),
        activation=float(activations.mean()),
        correlation=float((deviations[0] * deviations[1]).sum() / norms),
        saturated=float((rates >= most).double().mean()),
        quiet=float(((rates == 0) & (activations > 0)).double().mean()),
        following=float(((rates > 0) & (rates < most)).double().mean()),
        dead=float((rates.sum(0) == 0).double().mean()),
        most=most,
    )
