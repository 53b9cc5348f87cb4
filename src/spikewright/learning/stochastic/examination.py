"""How well streams estimate the gradient, and what keeps a network from learning by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from spikewright import seeding
from spikewright.borrow import in_mode
from spikewright.learning.advice import never_fire, saturated
from spikewright.learning.doctor import MANY_SILENT, Diagnosis, LayerHealth
from spikewright.learning.rule import Batch, RuleState
from spikewright.learning.stochastic.chain import Link, Packed, as_chain
from spikewright.learning.stochastic.counted import CLIPPED, ERRORS, OPEN, REACHED, SPIKES
from spikewright.learning.stochastic.limit import expected_logits
from spikewright.learning.stochastic.streams import Streams

if TYPE_CHECKING:
    from spikewright.learning.stochastic.rule import Stochastic

CLIPPED_ABOVE = 0.01
CLOSED_BELOW = 0.1
SATURATED_ABOVE = 0.9
"""Spikes a step: higher than elsewhere, for a mean of 0.5 is the middle of these neurons' range."""


@dataclass(frozen=True)
class Quality:
    """How the estimate of one layer's weight gradient compares with that of the means.

    Attributes:
        name: of the layer of weights.
        bias: norm of (mean estimate - gradient) over the gradient's norm; 0 is unbiased. It holds
            noise of ``deviation / sqrt(runs)``.
        deviation: standard deviation of an estimate, as a norm over the gradient's norm.
        cosine: of an estimate and the gradient, mean over the runs.
        clipped: share of errors above the gradient scale.
        error_spikes: error spikes of the layer's neurons, for each sample.
    """

    name: str
    bias: float
    deviation: float
    cosine: float
    clipped: float
    error_spikes: float


def quality(
    rule: Stochastic, network: Any, batch: Batch, rule_state: RuleState, runs: int = 50
) -> tuple[Quality, ...]:
    """Compare estimates of the gradient with that of `StochasticLimit`, layer by layer.

    Args:
        rule: as it trains.
        network: without dropout, for a comparison that means something.
        batch: the same samples in each run, with new streams.
        runs: how many estimates.
    """
    chain, exact = as_chain(network), exact_gradients(network, batch)
    estimates: list[list[Tensor]] = [[] for _ in chain]
    counts = np.zeros((OPEN + 1, len(chain) + 1))
    for number in range(runs):
        key = seeding.derive(rule_state["key"], "quality", number)
        packed, done, steps = rule.run(network, batch, key)
        for layer, found in enumerate(estimates, 1):
            found.append(estimate(rule, chain, packed, done, (batch.samples, steps), layer))
        counts += done.counts.by_layer / runs
    return tuple(
        _compare(link, torch.stack(found), exact[layer - 1], counts[:, layer] / batch.samples)
        for layer, (link, found) in enumerate(zip(chain, estimates, strict=True), 1)
    )


def exact_gradients(network: Any, batch: Batch) -> list[Tensor]:
    """The gradient of the means' cross-entropy for each layer's weights, by autograd."""
    weights = [link.wires.weight for link in as_chain(network)]
    with in_mode(network, training=False), torch.enable_grad():
        loss = cross_entropy(expected_logits(network, network.to_floating(batch.x)), batch.y)
        return [g.double() for g in torch.autograd.grad(loss, weights)]


def estimate(
    rule: Stochastic,
    chain: list[Link],
    packed: Packed,
    done: Streams,
    size: tuple[int, int],
    layer: int,
) -> Tensor:
    """The gradient of a layer's weights as coincidences tell it; ``size``: samples and steps."""
    net = packed.block(done.counts.down, layer) - packed.block(done.counts.up, layer)
    share = rule.plan(chain).scale[layer] * packed.gain[layer]
    return torch.from_numpy(net) * float(share) / (size[0] * (size[1] - rule.warm_up))


def _compare(link: Link, found: Tensor, exact: Tensor, counts: NDArray[Any]) -> Quality:
    found = found.double()
    norm = float(exact.norm().clamp(min=1e-30))
    cosines = torch.nn.functional.cosine_similarity(found.flatten(1), exact.flatten()[None], dim=1)
    return Quality(
        name=link.wires_name,
        bias=float((found.mean(0) - exact).norm()) / norm,
        deviation=float(found.var(0).sum().sqrt()) / norm,
        cosine=float(cosines.mean()),
        clipped=float(counts[CLIPPED] / max(counts[REACHED], 1e-30)),
        error_spikes=float(counts[ERRORS]),
    )


def diagnosis(chain: list[Link], packed: Packed, done: Streams, steps: int) -> Diagnosis:
    """Findings for each layer of neurons, and what to change; ``done`` has its words."""
    counts, places = done.counts.by_layer, max(1, len(done.wins) * steps)
    layers: list[LayerHealth] = []
    advice: list[str] = []
    for layer, link in enumerate(chain, 1):
        first, last = int(packed.starts[layer]), int(packed.starts[layer + 1])
        fired: NDArray[np.bool_] = np.any(done.words[:, :, 0, first:last], axis=(0, 1))
        net = packed.block(done.counts.down, layer) - packed.block(done.counts.up, layer)
        hidden = link is not chain[-1]
        opened = float(counts[OPEN, layer] / (places * fired.size)) if hidden else 1.0
        layers.append(
            LayerHealth(
                name=link.name,
                rate=float(counts[SPIKES, layer] / (places * fired.size)),
                silent=float(1 - fired.mean()),
                in_window=opened if hidden else None,
                gradient=float(np.linalg.norm(net) * packed.gain[layer] / places),
                active=opened,
            )
        )
        if hidden:
            advice += _advise(layers[-1], counts[:, layer], errs=int(counts[ERRORS, len(chain)]))
    return Diagnosis(tuple(layers), tuple(advice))


def _advise(health: LayerHealth, counts: NDArray[np.int64], errs: int) -> list[str]:
    """What to change for a hidden layer, worst first."""
    name, found = f"layer {health.name!r}", list[str]()
    if health.silent > MANY_SILENT:
        cure = "raise its input biases, or draw first weights with learning.stochastic.draw_weights"
        found.append(never_fire(health.name, health.silent, cure))
    elif health.rate > SATURATED_ABOVE:
        cure = "lower its input weights and biases"
        found.append(saturated(health.name, health.rate, cure))
    if health.active < CLOSED_BELOW:
        found.append(
            f"{name}: a gate is open in {health.active:.1%} of places, where the potential is "
            "between 0 and 1: draw smaller first weights, or lower the learning rate."
        )
    elif errs and counts[ERRORS] == 0:
        found.append(f"{name}: no error spike reaches it: lower the gradient scale.")
    clipped = counts[CLIPPED] / max(1, counts[REACHED])
    if clipped > CLIPPED_ABOVE:
        found.append(
            f"{name}: {clipped:.1%} of its errors exceed the gradient scale, which biases the "
            "gradient: raise scale."
        )
    return found
