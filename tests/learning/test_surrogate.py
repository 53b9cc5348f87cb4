"""The surrogate rule against plain autograd and torch's own optimisers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

import spikewright as sw
from learning.tasks import batch, network, same, weights
from spikewright.coding import FirstSpike, Max
from spikewright.learning import Rule, Surrogate
from spikewright.learning.losses import CrossEntropy, RateMSE
from spikewright.learning.regularisers import LowerRate, UpperRate

OPTIMISERS: dict[str, tuple[dict[str, Any], Any]] = {
    "adam": ({}, lambda p: torch.optim.Adam(p, lr=5e-3)),
    "adamw": (
        {"optimiser": "adamw", "weight_decay": 0.1},
        lambda p: torch.optim.AdamW(p, lr=5e-3, weight_decay=0.1),
    ),
    "sgd": (
        {"optimiser": "sgd", "options": {"momentum": 0.9, "nesterov": True}},
        lambda p: torch.optim.SGD(p, lr=5e-3, momentum=0.9, nesterov=True),
    ),
}


def loss_by_hand(net: sw.Network, seed: int) -> torch.Tensor:
    x, y = batch(seed)
    return functional.cross_entropy(net(x)[0].mean(0), y)


def train(net: sw.Network, rule: Surrogate, steps: int = 4, **init: Any) -> Any:
    state = rule.init(net, **init)
    for seed in range(steps):
        _, state = rule.train_batch(net, batch(seed), state)
    return state


@pytest.mark.parametrize("name", OPTIMISERS)
def test_batches_change_the_weights_as_autograd_and_the_torch_optimiser_do(name: str) -> None:
    options, make = OPTIMISERS[name]
    backend = "cpu" if name == "adam" else "reference"
    ours, plain = network(backend=backend), network(backend=backend)
    train(ours, Surrogate(learning_rate=5e-3, **options))
    optimiser = make(plain.parameters())
    for seed in range(4):
        optimiser.zero_grad()
        loss_by_hand(plain, seed).backward()
        optimiser.step()
    assert not same(weights(ours), weights(network()))
    assert same(weights(ours), weights(plain))


def test_learnable_time_constants_and_neurons_in_a_loop_learn_as_well() -> None:
    def make() -> sw.Sequential:
        torch.manual_seed(0)
        cells = sw.Recurrent(sw.LIF(tau_mem=sw.learnable(10e-3), v_threshold=0.1))
        return sw.Sequential(sw.Linear(8, 12), cells, sw.Linear(12, 3), sw.LI(), dt=1e-3)

    ours, plain = make(), make()
    train(ours, Surrogate(learning_rate=5e-3))
    optimiser = torch.optim.Adam(plain.parameters(), lr=5e-3)
    for seed in range(4):
        optimiser.zero_grad()
        loss_by_hand(plain, seed).backward()
        optimiser.step()
    assert same(weights(ours), weights(plain))
    start = make()
    start.build((8,))
    pairs = zip(ours.parameters(), start.parameters(), strict=True)
    assert all(not torch.equal(after, before) for after, before in pairs)


def test_the_metrics_are_those_of_the_batch_before_the_step() -> None:
    net, rule = network(), Surrogate()
    x, y = batch()
    with torch.no_grad():
        scores, rates = net(x)[0].mean(0), net.run(x).records["1_cubalif"]["spikes"].mean()
    metrics, _ = rule.train_batch(net, batch(), rule.init(net))
    assert float(metrics["loss"]) == float(functional.cross_entropy(scores, y))
    assert float(metrics["accuracy"]) == float((scores.argmax(-1) == y).double().mean())
    assert list(metrics["rates"]) == ["1_cubalif"]
    assert float(metrics["rates"]["1_cubalif"]) == float(rates) > 0


def test_the_learning_rate_of_a_step_acts_on_the_weights() -> None:
    # With Adam the first step changes each weight by the learning rate, whatever its gradient.
    net, before = network(), network()
    rule = Surrogate(learning_rate=0.1, schedule="cosine")
    rule.train_batch(net, batch(), {**rule.init(net, total_steps=100), "step": 50})
    change = (net.layers["2_linear"].bias - before.layers["2_linear"].bias).abs()
    torch.testing.assert_close(change, torch.full_like(change, 0.05), rtol=1e-3, atol=0)


def test_clipping_bounds_the_norm_of_the_whole_gradient() -> None:
    free, clipped = network(), network()
    options = {"optimiser": "sgd", "learning_rate": 1.0}
    for net, clip in ((free, None), (clipped, 1e-3)):
        train(net, Surrogate(clip=clip, **options), steps=1)
    start = weights(network())
    moved = [
        torch.cat([(weights(n)[k] - start[k]).flatten() for k in start]) for n in (free, clipped)
    ]
    assert float(moved[0].norm()) > 1e-2
    assert float(moved[1].norm()) == pytest.approx(1e-3, rel=1e-3)
    torch.testing.assert_close(moved[1], moved[0] * (1e-3 / moved[0].norm()), rtol=1e-2, atol=1e-7)


def test_regularisers_are_added_to_the_loss_and_take_part_in_the_gradient() -> None:
    upper, lower = UpperRate(strength=0.3, maximum=0.0), LowerRate(strength=0.1, minimum=9.0)
    net = network()
    with torch.no_grad():
        plain, run = Surrogate().loss_of(net, batch())
        loss, _ = Surrogate(regularisers=(upper, lower)).loss_of(net, batch())
    spikes = {"1_cubalif": run.records["1_cubalif"]["spikes"]}
    assert float(loss) == pytest.approx(float(plain + upper(spikes) + lower(spikes)), rel=1e-6)
    assert float(loss) > float(plain)
    train(net, Surrogate(regularisers=(UpperRate(strength=10.0, maximum=0.0),)), steps=30)
    assert net.run(batch().x).output.isfinite().all()
    after = net.run(batch().x).records["1_cubalif"]["spikes"].mean()
    assert after < 0.8 * spikes["1_cubalif"].mean()


def test_the_surrogate_of_the_rule_takes_the_place_of_the_neurons_own() -> None:
    wide, narrow = sw.surrogate.Triangular(width=2.0), sw.surrogate.Triangular(width=1e-9)

    def gradient(own: Any, of_rule: Any) -> torch.Tensor:
        net = network(surrogate=own)
        Surrogate(surrogate=of_rule).loss_of(net, batch())[0].backward()
        return net.layers["0_linear"].weight.grad

    assert gradient(wide, None).any()
    assert not gradient(wide, narrow).any()
    assert torch.equal(gradient(narrow, wide), gradient(wide, None))


def test_the_read_out_is_counts_of_spikes_or_means_of_membranes_unless_named() -> None:
    torch.manual_seed(0)
    spiking = sw.Sequential(sw.Linear(8, 3), sw.LIF(v_threshold=0.05), dt=1e-3)
    x, y = batch()
    counts = functional.cross_entropy(spiking(x)[0].sum(0), y)
    assert torch.equal(Surrogate().loss_of(spiking, batch())[0], counts)
    net = network()
    largest = functional.cross_entropy(net(x)[0].amax(0), y)
    assert torch.equal(Surrogate(decoder=Max()).loss_of(net, batch())[0], largest)


def test_a_parameter_that_is_frozen_stays() -> None:
    net = network()
    net.layers["0_linear"].weight.requires_grad_(False)
    train(net, Surrogate(learning_rate=0.1))
    assert torch.equal(net.layers["0_linear"].weight, network().layers["0_linear"].weight)
    assert not torch.equal(net.layers["0_linear"].bias, network().layers["0_linear"].bias)


def test_evaluate_changes_nothing_and_predicts() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(
        sw.Dropout(0.5),
        sw.Linear(8, 9),
        sw.BatchNorm(),
        sw.LIF(),
        sw.Linear(9, 3),
        sw.LI(),
        dt=1e-3,
    )
    net.build((8,))
    rule = Surrogate()
    state = train(net, rule, steps=1)
    gradients = [p.grad.clone() for p in net.parameters()]
    before, random, modes = weights(net), torch.get_rng_state(), [m.training for m in net.modules()]
    found = rule.evaluate(net, batch(), state)
    assert same(weights(net), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    scores = net.eval()(batch().x)[0].mean(0)
    assert torch.equal(found["predictions"], scores.argmax(-1))
    assert not found["loss"].requires_grad


def test_it_is_a_rule() -> None:
    assert isinstance(Surrogate(), Rule)


def test_requirements_name_the_layer_that_does_not_suit() -> None:
    net = network()
    assert Surrogate().requirements(net) == []
    assert Surrogate(decoder=FirstSpike(dt=1e-3)).requirements(net) == [
        "layer '3_li': losses.CrossEntropy: decoder must be one of count, mean, max, last, got "
        "'first_spike'. Choose such a decoder or another loss."
    ]
    assert Surrogate(regularisers=(UpperRate(layers=("1_cuba",)),)).requirements(net) == [
        "layer '1_cuba': UpperRate acts on it, but it is no spiking layer. Did you mean "
        "'1_cubalif'?"
    ]
    assert Surrogate().requirements(torch.nn.Linear(2, 2)) == [
        "network: must be a spikewright Network, is Linear"
    ]
    net.requires_grad_(False)
    assert Surrogate().requirements(net) == ["network: has no parameter that may change"]


def test_the_rule_shows_its_settings_and_no_addresses() -> None:
    text = repr(Surrogate(learning_rate=2e-3, loss=CrossEntropy(score_penalty=0.1)))
    assert "learning_rate=0.002" in text
    assert "score_penalty=0.1" in text
    assert " at 0x" not in repr(Surrogate(loss=RateMSE(), regularisers=(UpperRate(),)))
