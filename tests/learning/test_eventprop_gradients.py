"""The rules' gradients of whole networks: against central differences and each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.event_tasks import batch, derivative, network
from spikewright.learning import EventProp, SpikeTime
from spikewright.learning.event_losses import (
    AverageCrossEntropy,
    EventLoss,
    ExponentialPush,
    FirstSpikeSoftmax,
    InputActivity,
    IntegralCrossEntropy,
    PeakCrossEntropy,
    ReciprocalPush,
    SpikeCountTarget,
)
from spikewright.learning.event_rule import EventRule
from spikewright.learning.regularisers import UpperRate

OUTPUT = "6_cubalif"
LOSSES: dict[str, EventLoss] = {
    **{w: IntegralCrossEntropy(w) for w in ("uniform", "exponential", "linear", "sigmoid")},
    "input": IntegralCrossEntropy(InputActivity(tau=5e-3)),
    "peak": PeakCrossEntropy(scale=2.0),
    "average": AverageCrossEntropy(),
    "first spike": FirstSpikeSoftmax(tau=2e-3),
    "first spike, exponential": FirstSpikeSoftmax(tau=2e-3, push=ExponentialPush(1e-2, 20e-3)),
    "first spike, reciprocal": FirstSpikeSoftmax(tau=2e-3, push=ReciprocalPush(1e-4)),
    "spike count": SpikeCountTarget(correct=8, incorrect=2, unit=1e-3),
}
KINDS = ("weight", "tau_mem", "tau_syn", "v_threshold", "fraction")


def net_for(loss: EventLoss) -> torch.nn.Module:
    return network(spiking=loss.reads == "spikes")


def gradients(rule: EventRule, net: torch.nn.Module, samples: object) -> dict[str, Tensor]:
    net.zero_grad()
    measured = rule.measure(net, samples.x, samples.y)
    measured.loss.backward()
    return {name: parameter.grad.clone() for name, parameter in net.named_parameters()}


def value_of(rule: EventRule, net: torch.nn.Module) -> Callable[[], float]:
    """The loss as a function of the parameters.

    By definition the count loss has the gradient of its pulls times the spike times, with the
    pulls held fixed.
    """
    x, y = batch()
    loss = rule.loss
    if not isinstance(loss, SpikeCountTarget):
        return lambda: float(rule.measure(net, x, y).loss.detach())
    wanted = torch.full((3, 3), float(loss.incorrect)).double()
    wanted[torch.arange(3), y] = float(loss.correct)
    pull = wanted - rule.measure(net, x, y).run.fired[OUTPUT].counts.detach()

    def value() -> float:
        spikes = rule.measure(net, x, y).run.fired[OUTPUT].spikes
        return float((pull[spikes.samples, spikes.units] * spikes.times).sum() / (3 * loss.unit))

    return value


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_central_differences(name: str) -> None:
    rule = EventProp(LOSSES[name])
    net = net_for(rule.loss)
    found, value = gradients(rule, net, batch()), value_of(rule, net)
    generator, seen = torch.Generator().manual_seed(3), set[str]()
    for path, parameter in net.named_parameters():
        along = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        got = float((found[path] * along).sum())
        wanted = derivative(value, parameter, along, h=1e-6)
        # A loss of the first spike, or of the peak, does not feel a delay common to all.
        assert got == pytest.approx(wanted, rel=1e-6, abs=2e-9), path
        seen.add(path.rpartition(".")[2])
    assert seen == set(KINDS)


@pytest.mark.parametrize("name", LOSSES)
def test_both_exact_rules_have_one_gradient(name: str) -> None:
    loss = LOSSES[name]
    net, penalty = net_for(loss), (UpperRate(strength=1e-2, maximum=2.0, power=2.0),)
    ours = gradients(EventProp(loss, regularisers=penalty), net, batch())
    theirs = gradients(SpikeTime(loss, regularisers=penalty), net, batch())
    for path, gradient in ours.items():
        difference = float((gradient - theirs[path]).norm())
        assert difference <= 1e-8 * float(gradient.norm()) + 1e-14, path


@pytest.mark.parametrize("name", LOSSES)
def test_the_grid_has_the_gradient_of_the_events(name: str) -> None:
    """At dt = 2 µs, of neurons with tau_mem = 80 ms: a spike time is off by up to dt, and what
    follows from it by as much in parts of the time constants, the more the nearer to grazing."""
    loss, dt = LOSSES[name], 2e-6
    net = network(loss.reads == "spikes", seed=17, scale=0.8, dt=dt, slow=4.0)
    samples = batch(slow=4.0)
    # Arrivals act on whole steps, so put the input there for both.
    on_grid = (samples.x.times / dt).round() * dt
    samples = samples._replace(x=replace(samples.x, times=on_grid))
    penalty = (UpperRate(strength=1e-3, maximum=1.0),)
    exact = gradients(EventProp(loss, regularisers=penalty), net, samples)
    grid = gradients(EventProp(loss, solver="grid", regularisers=penalty), net, samples)
    for path, gradient in exact.items():
        assert float((gradient - grid[path]).norm()) <= 1e-3 * float(gradient.norm()), path


def test_a_regulariser_has_the_gradient_of_raising_the_membrane_at_the_spike() -> None:
    """By definition dn/du = 1 / threshold; of one spike du/dw is the kernel at its time."""
    cells = {"tau_mem": 20e-3, "tau_syn": 5e-3}
    net = sw.Sequential(
        sw.Linear(1, 1, bias=False), sw.CubaLIF(**cells, v_threshold=0.25),
        sw.Linear(1, 2, bias=False), sw.CubaLI(**cells), dt=1e-3,
    ).double()  # fmt: skip
    net.build((1,))
    weight = dict(net.named_parameters())["nodes.0_linear.weight"]
    with torch.no_grad():
        weight.fill_(2.0)
        net.layers["2_linear"].weight.zero_()  # the loss itself teaches the first layer nothing
    spikes = sw.SpikeTimes.from_first(torch.full((1, 1), 3e-3), 50e-3)
    penalty = UpperRate(strength=0.5, maximum=0.25, power=2.0)
    rule = EventProp(IntegralCrossEntropy(), regularisers=(penalty,))
    measured = rule.measure(net, spikes, torch.tensor([1]))
    measured.loss.backward()
    (time,) = measured.run.fired["1_cubalif"].spikes.times.detach().tolist()
    mem, syn = (float(torch.tensor(cells[name])) for name in cells)
    passed = time - float(torch.tensor(3e-3))
    kernel = syn / (mem - syn) * (math.exp(-passed / mem) - math.exp(-passed / syn))
    assert float(weight.grad) == pytest.approx(0.5 * 2 * 0.75 * kernel / 0.25, rel=1e-9)
