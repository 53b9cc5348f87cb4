"""The neurons that the networks share: their surrogate derivative and their unit gain."""

from __future__ import annotations

import math

import pytest
import torch

from spikewright.engine.spike import firing_context, spike_count
from spikewright.models.layers import spiking_options, unit_gain
from spikewright.neurons.exponential import synaptic_gain


def published(v: float, threshold: float, most: int) -> float:
    """The periodic exponential, window 0.5, as the paper's simulator has it."""
    u = v - threshold / 2
    if v >= threshold:
        u -= min(math.floor(u / threshold), most - 1) * threshold
    return math.exp(-abs(u - threshold / 2) / 0.5) / threshold


@pytest.mark.parametrize("most", [31, 2])
@pytest.mark.parametrize("threshold", [1.0, 1.6])
@pytest.mark.parametrize("thresholds", [-0.3, 0.5, 1.0, 1.5, 2.7, 4.2])
def test_the_surrogate_repeats_at_each_further_spike(
    thresholds: float, threshold: float, most: int
) -> None:
    options = spiking_options(threshold, most)
    v = torch.tensor(thresholds * threshold, dtype=torch.float64, requires_grad=True)
    with firing_context(options["surrogate"]):
        count = spike_count(v, torch.tensor(threshold, dtype=torch.float64), most, inclusive=True)
    (gradient,) = torch.autograd.grad(count, v)
    assert float(gradient) == pytest.approx(published(float(v.detach()), threshold, most))
    assert float(count.detach()) == min(max(0, math.floor(thresholds)), most)


def test_resets_are_part_of_the_gradient_and_inclusive() -> None:
    firing = spiking_options(1.0, 31)["firing"]
    assert (firing.reset, firing.detach_reset, firing.inclusive) == ("subtract", False, True)


@pytest.mark.parametrize("tau_mem", [2e-3, 40e-3])
def test_with_unit_gain_a_current_is_added_as_it_is(tau_mem: float) -> None:
    taus = torch.tensor([1e-3, 2e-3, 40e-3, 1.0])
    added = unit_gain(tau_mem, taus, 1e-3) * synaptic_gain(torch.tensor(tau_mem), taus, 1e-3)
    torch.testing.assert_close(added, torch.exp(-1e-3 / taus))
