"""The doctor names what keeps a layer from learning, and leaves the patient as it was."""

from __future__ import annotations

import pytest
import torch

import spikewright as sw
from learning.tasks import batch, network, same, weights
from spikewright.errors import RuleError
from spikewright.learning import Diagnosis, Surrogate
from spikewright.learning.doctor import LayerHealth, advise
from training.fakes import GradientRule

Triangular = sw.surrogate.Triangular


def examine(net: sw.Network, **rule: object) -> Diagnosis:
    return sw.doctor(net, batch(), Surrogate(**rule))


def test_a_healthy_network_gives_its_figures_and_no_advice() -> None:
    net = network()
    found = examine(net)
    health = found.layers[0]
    loss, run = Surrogate().loss_of(net, batch())
    loss.backward()
    spikes = run.records["1_cubalif"]["spikes"].detach()
    linear = net.layers["0_linear"]
    norm = torch.stack([linear.weight.grad.norm(), linear.bias.grad.norm()]).norm()
    assert found.advice == ()
    assert health.name == "1_cubalif"
    assert health.rate == pytest.approx(float(spikes.mean()), rel=1e-6)
    assert health.silent == float((spikes.sum((0, 1)) == 0).double().mean())
    assert health.gradient == pytest.approx(float(norm), rel=1e-4)


def test_the_share_inside_the_window_is_counted_on_the_membrane() -> None:
    # The derivative of a triangle of width 0.1 is at least a tenth of its peak within 0.09.
    net = network(surrogate=Triangular(width=0.1), firing=sw.Firing(reset="none"))
    v = net.run(batch().x, record=("v",)).records["1_cubalif"]["v"].detach()
    expected = float(((v - 0.2).abs() <= 0.09).double().mean())
    assert 0.05 < expected < 0.9
    assert examine(net).layers[0].in_window == pytest.approx(expected, abs=2e-3)


def test_a_silent_layer_is_named() -> None:
    found = examine(network(v_threshold=1e3))
    assert found.advice == (
        "layer '1_cubalif' is silent: raise its input weights, lower v_threshold, or use "
        "aim_rates.",
    )
    assert found.layers[0].silent == 1.0


def test_a_saturated_layer_is_named() -> None:
    net = network()
    with torch.no_grad():
        net.layers["0_linear"].bias.fill_(50.0)
    found = examine(net)
    assert found.layers[0].rate == 1.0
    assert found.advice[0] == (
        "layer '1_cubalif' is saturated (1.00 spikes a step): lower its input weights, raise "
        "v_threshold, or add UpperRate."
    )


def test_neurons_of_several_spikes_a_step_are_not_saturated_by_one() -> None:
    health = LayerHealth("a", rate=1.2, silent=0.0, in_window=0.5, gradient=1.0, most=4)
    assert advise(health) == []
    net = network(firing=sw.Firing(reset="subtract", max_spikes=4))
    assert examine(net).layers[0].most == 4


def test_a_window_too_narrow_is_named_and_a_gradient_that_is_cut_off() -> None:
    found = examine(network(surrogate=Triangular(width=1e-9)))
    assert found.advice == (
        "layer '1_cubalif': no neuron is active, none inside the surrogate's window: widen it, at "
        "the start with WindowSchedule, or use aim_rates. LowerRate cannot rescue a net with no "
        "active neuron.",
        "layer '1_cubalif': no gradient reaches its input weights: check what follows it.",
    )


def test_the_surrogate_that_counts_is_that_of_the_rule() -> None:
    narrow, wide = Triangular(width=1e-9), Triangular(width=2.0)
    assert examine(network(surrogate=wide), surrogate=narrow).layers[0].in_window == 0.0
    rescued = examine(network(surrogate=narrow), surrogate=wide)
    assert rescued.layers[0].in_window > 0.5
    assert rescued.advice == ()


def test_what_follows_a_layer_may_cut_off_its_gradient() -> None:
    net = network()
    with torch.no_grad():
        net.layers["2_linear"].weight.zero_()
    found = examine(net)
    assert found.layers[0].gradient == 0.0
    assert found.advice == (
        "layer '1_cubalif': no gradient reaches its input weights: check what follows it.",
    )


def test_mostly_silent_layers_are_told_from_silent_ones() -> None:
    health = LayerHealth("a", rate=0.02, silent=0.75, in_window=0.5, gradient=1.0)
    assert advise(health) == [
        "layer 'a': 75% of its neurons never fire: raise the input weights, or add LowerRate."
    ]


def test_weights_are_found_behind_layers_without_any_and_neurons_without_weights_have_none() -> (
    None
):
    torch.manual_seed(0)
    layers = [
        sw.LIF(v_threshold=0.02), sw.Linear(8, 20), sw.Dropout(0.1), sw.Delay(1e-3),
        sw.Recurrent(sw.LIF(v_threshold=0.02)), sw.Linear(20, 3), sw.LI(),
    ]  # fmt: skip
    first, second = examine(sw.Sequential(*layers, dt=1e-3)).layers
    assert (first.name, first.gradient) == ("0_lif", None)
    assert first.in_window > 0
    assert second.name == "4_recurrent"
    assert second.gradient is not None
    assert second.gradient > 0


def test_the_network_is_not_changed() -> None:
    net = network(noise=1.0)
    rule = Surrogate(surrogate=Triangular())
    rule.train_batch(net, batch(), rule.init(net))
    cells = net.layers["1_cubalif"]
    before, random = weights(net), torch.get_rng_state()
    gradients = [p.grad.clone() for p in net.parameters()]
    kept = (cells.surrogate, cells.backend, net.training, rule.surrogate)
    with torch.no_grad():
        sw.doctor(net, batch(), rule)
    assert same(weights(net), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert kept == (cells.surrogate, cells.backend, net.training, rule.surrogate)


def test_a_rule_without_a_loss_is_refused() -> None:
    with pytest.raises(RuleError) as caught:
        sw.doctor(network(), batch(), GradientRule())
    assert str(caught.value) == (
        "doctor: rule must have an examine(network, batch, rule_state) or a "
        "loss_of(network, batch), got GradientRule. Pass a rule with a loss, such as Surrogate()."
    )


def test_the_table_is_laid_out_in_columns() -> None:
    layers = (
        LayerHealth("1_cubalif", rate=0.05123, silent=0.1, in_window=0.25, gradient=0.0123),
        LayerHealth("hidden", rate=0.0, silent=1.0, in_window=0.0, gradient=None),
    )
    assert str(Diagnosis(layers, ("layer 'hidden' is silent.",))).splitlines() == [
        "layer          rate   silent   window   gradient",
        "1_cubalif    0.0512    10.0%    25.0%   1.23e-02",
        "hidden       0.0000   100.0%     0.0%          –",
        "",
        "- layer 'hidden' is silent.",
    ]
    assert str(Diagnosis(layers[:1], ())).endswith("\n\nNothing stands out.")
