"""Where in the trial a loss credits spikes, and what a step creates and deletes."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

import spikewright as sw
from learning.event_tasks import batch, network, same, weights
from spikewright.errors import ParameterError
from spikewright.learning import EventProp, SpikeTime, Surrogate, diagnose
from spikewright.learning.credit import CreditReport, LayerFlow
from spikewright.learning.event_losses import IntegralCrossEntropy, SpikeCountTarget
from spikewright.report.figures.credit import credit

MEM, SYN, TRIAL = 20e-3, 5e-3, 1.4


def profile(weight: str) -> CreditReport:
    """Of a readout alone, 1,400 ms, one sample of two classes without any spike."""
    net = sw.Sequential(sw.Linear(1, 2, bias=False), sw.CubaLI(tau_mem=MEM, tau_syn=SYN), dt=1e-3)
    spikes = sw.SpikeTimes.from_first(torch.full((1, 1), math.inf), TRIAL)
    rule = EventProp(IntegralCrossEntropy(weight))
    return diagnose(rule, net, (spikes, torch.tensor([0])), bins=280)


def test_a_uniform_weight_credits_the_last_spikes_only() -> None:
    """lambda_v - lambda_i solves its equations in closed form, back from the trial's end."""
    found = profile("uniform")
    (flow,), back = found.layers, TRIAL - found.edges.numpy()
    error = 0.5 / TRIAL
    lambda_i = error * (
        1 - MEM / (MEM - SYN) * np.exp(-back / MEM) + SYN / (MEM - SYN) * np.exp(-back / SYN)
    )
    wanted = SYN * np.abs(np.diff(lambda_i)) / np.diff(found.edges.numpy())
    late = back[:-1] < 0.2
    np.testing.assert_allclose(flow.credit[late], wanted[late], rtol=1e-4)
    peak = float(flow.credit.max())
    assert float(flow.credit[back[1:] > 0.12].max()) < 0.01 * peak
    assert found.blind(flow) > 0.88


def test_a_falling_weight_credits_the_whole_trial() -> None:
    found = profile("exponential")
    (flow,) = found.layers
    middles = (found.edges[1:] + found.edges[:-1]) / 2
    early = middles < TRIAL - 0.3
    # The error A(t) falls by itself: what remains of it is tau_syn A(t) / T.
    wanted = SYN / TRIAL * 0.5 / TRIAL * torch.exp(-middles / TRIAL)
    np.testing.assert_allclose(flow.credit[early], wanted[early], rtol=0.02)
    share = flow.credit[early] / flow.credit.max()
    assert float(share.min()) > 0.01
    assert float(share.max()) < 0.1
    assert found.blind(flow) == 0.0


def test_diagnosis_leaves_the_network_alone_and_counts_what_changes() -> None:
    rule = EventProp(IntegralCrossEntropy(), optimiser="sgd", learning_rate=0.5)
    net, samples = network(), batch()
    before, stream = weights(net), torch.get_rng_state()
    found = diagnose(rule, net, samples, bins=20)
    assert same(weights(net), before)
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(parameter.grad is None for parameter in net.parameters())
    counts = rule.measure(net, samples.x, samples.y).run.fired
    state = rule.init(net)
    rule.train_batch(net, samples, state)
    after = rule.measure(net, samples.x, samples.y).run.fired
    changed = 0
    for flow in found.layers[:2]:
        change = (after[flow.name].counts - counts[flow.name].counts).detach()
        assert flow.created == int(change[change > 0].sum())
        assert flow.deleted == -int(change[change < 0].sum())
        assert flow.spikes == pytest.approx(float(counts[flow.name].counts.detach().mean()))
        changed += flow.created + flow.deleted
    assert changed > 0
    assert [flow.name for flow in found.layers] == ["1_cubalif", "4_cubalif", "6_cubali"]


def test_diagnosis_leaves_the_moments_of_training_alone() -> None:
    rule, net, samples = EventProp(IntegralCrossEntropy()), network(), batch()
    _, state = rule.train_batch(net, samples, rule.init(net))
    before = copy.deepcopy(state["moments"])
    diagnose(rule, net, samples, state, bins=5)
    for name, kept in before.items():
        assert same(state["moments"][name], kept)


def test_a_rule_that_follows_no_events_is_refused() -> None:
    with pytest.raises(ParameterError, match="rule must follow events, got Surrogate"):
        diagnose(Surrogate(), network(), batch())  # type: ignore[arg-type]


def test_the_gradient_of_a_layer_is_that_of_the_weights_into_it() -> None:
    rule, net, samples = SpikeTime(SpikeCountTarget(4, 1)), network(spiking=True), batch()
    found = diagnose(rule, net, samples, bins=7)
    rule.measure(net, samples.x, samples.y).loss.backward()
    for flow, layer in zip(found.layers, ("0_linear", "3_linear", "5_linear"), strict=True):
        assert flow.gradient == pytest.approx(float(net.layers[layer].weight.grad.norm()))
        assert flow.credit.shape == (7,)


def test_the_text_names_what_stands_out() -> None:
    falling = torch.tensor([0.0, 0.0, 0.0, 1.0])
    flows = (
        LayerFlow("quiet", torch.zeros(4), 0.0, 0.0, 1.0, 0, 0),
        LayerFlow("losing", torch.ones(4), 0.1, 2.0, 0.0, 2, 40),
        LayerFlow("late", falling, 0.1),
    )
    lines = str(CreditReport("a loss", torch.linspace(0, 1, 5), flows)).splitlines()
    assert lines[0] == "a loss"
    assert lines[1].split()[:6] == ["layer", "spikes", "silent", "created", "deleted", "gradient"]
    assert lines[4].endswith("▁▁▁█")
    assert lines[6:] == [
        "- layer 'quiet' is silent, no gradient passes it: raise its input weights, or choose a "
        "policy of sw.learning.silent.",
        "- layer 'losing': the step deletes 40 spikes and creates 2, which no exact gradient "
        "sees: lower the learning rate, choose another loss, or add LowerRate.",
        "- layer 'late': no credit in the first 75% of the trial: choose a loss whose weight "
        "falls over the trial, or a shorter trial.",
    ]


def test_bins_must_be_one_at_least() -> None:
    with pytest.raises(ParameterError) as caught:
        diagnose(EventProp(IntegralCrossEntropy()), network(), batch(), bins=0)
    assert str(caught.value) == "diagnose: bins must be a whole number from 1, got 0. Use 100."


def test_the_figure_has_a_curve_for_each_loss_on_a_logarithmic_axis() -> None:
    plot = credit([0.0, 0.01, 0.02], {"uniform": [0.0, 2.0], "exponential": [1.0, 0.5]})
    uniform, exponential = plot.figure.data
    np.testing.assert_allclose(uniform.x, [5.0, 15.0])
    assert np.isnan(uniform.y[0])
    assert list(exponential.y) == [1.0, 0.5]
    assert plot.figure.layout.yaxis.type == "log"
    assert plot.figure.layout.xaxis.title.text == "time (ms)"


def test_a_figure_without_any_credit_is_empty_but_there() -> None:
    plot = credit([0.0, 1.0], {"none": [0.0]})
    assert np.isnan(plot.figure.data[0].y).all()
