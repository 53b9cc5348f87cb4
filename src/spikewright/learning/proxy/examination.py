"""What keeps a network from learning by proxy, said layer by layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from spikewright.learning.advice import no_gradient, silent
from spikewright.learning.doctor import (
    SATURATED_ABOVE,
    SILENT_BELOW,
    Diagnosis,
    LayerHealth,
    gradient_into,
)
from spikewright.learning.proxy.agreement import LayerAgreement, agreement
from spikewright.learning.rule import Batch, RuleState
from spikewright.network import Network

if TYPE_CHECKING:
    from spikewright.learning.proxy.rule import Proxy

ALIKE = 0.7
"""Correlation of rates and activations below which the twin's gradient is no guide."""
MANY_TIES = 0.2


def examine(rule: Proxy, network: Network, batch: Batch, rule_state: RuleState) -> Diagnosis:
    """Compare a network with its twin on a batch and say what to change.

    In the table the window of a layer is the share of (sample, neuron) where the rate follows the
    input, see `LayerAgreement`.

    Args:
        rule: for its loss.
        network: a copy, as `doctor` gives it: gradients and running statistics are changed.
        batch: input (time, batch, *features) and classes.
        rule_state: of the rule.
    """
    found = agreement(network, batch, rule_state["statistics"]).layers
    for parameter in network.parameters():
        parameter.grad = None
    with torch.enable_grad():
        loss, metrics, _ = rule.loss_and_metrics(network, batch, rule_state)
        loss.backward()
    health = tuple(_health(network, layer) for layer in found)
    advice = [
        line
        for layer, its in zip(found, health, strict=True)
        for line in _advise(layer, its, ends=rule.saturating and layer is not found[-1])
    ]
    return Diagnosis(
        health, (*advice, *_advise_output(found[-1].name, float(metrics.get("ties", 0.0))))
    )


def _health(network: Network, layer: LayerAgreement) -> LayerHealth:
    return LayerHealth(
        name=layer.name,
        rate=layer.rate,
        silent=layer.dead,
        in_window=layer.following,
        gradient=gradient_into(network, layer.name),
        most=layer.most,
        active=layer.following,
    )


def _advise(layer: LayerAgreement, health: LayerHealth, *, ends: bool) -> list[str]:
    """What to change in a layer, worst first; ``ends``: whether the twin's activations do."""
    name = f"layer {layer.name!r}"
    if layer.rate < SILENT_BELOW:
        cure = "raise its input weights, lower v_threshold, or use aim_rates"
        return [silent(layer.name, cure, ", so all behind it sees nothing of the input")]
    advice: list[str] = []
    if layer.saturated > SATURATED_ABOVE:
        twin = "the twin has no gradient" if ends else "the twin's activations go on rising"
        advice.append(
            f"{name}: {layer.saturated:.0%} of its places fire at every step, where {twin}: raise "
            "v_threshold, or put a BatchNorm before it."
        )
    elif layer.quiet > 0.5:
        advice.append(
            f"{name}: {layer.quiet:.0%} of its places stay silent though the twin is active: use "
            "more steps, a lower v_threshold, or reset='subtract'."
        )
    if not math.isnan(layer.correlation) and layer.correlation < ALIKE:
        advice.append(
            f"{name}: rates and activations correlate by {layer.correlation:.2f} only, so the "
            "twin's gradient is no guide: use more steps or reset='subtract', and freeze_after "
            "for batch norms."
        )
    if health.gradient == 0:
        advice.append(no_gradient(layer.name))
    return advice


def _advise_output(name: str, ties: float) -> list[str]:
    if ties <= MANY_TIES:
        return []
    return [
        f"layer {name!r}: {ties:.0%} of the samples tie in the output: use more steps, or "
        "a loss that asks for more than one spike, CrossEntropy() or SpikeCountMSE(correct=5)."
    ]
