"""First weights aim at a firing rate; weights that mean something are left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.tasks import batch, network, same, weights
from spikewright.errors import ParameterError, ShapeError
from spikewright.learning import Surrogate

Maker = Callable[[], tuple[sw.Network, Tensor]]


def dense() -> tuple[sw.Network, Tensor]:
    layers = [sw.Linear(30, 80), sw.CubaLIF(), sw.Linear(80, 60), sw.LIF(), sw.Linear(60, 4)]
    return sw.Sequential(*layers, sw.LI(), dt=1e-3), (torch.rand(40, 16, 30) < 0.1).float()


def images() -> tuple[sw.Network, Tensor]:
    layers = [
        sw.Conv2d(1, 6, 3), sw.MaxPool2d(2), sw.LIF(), sw.Conv2d(6, 8, 3), sw.AvgPool2d(2),
        sw.AdaptiveLIF(backend="reference"), sw.Flatten(), sw.Linear(32, 30), sw.LIF(),
    ]  # fmt: skip
    return sw.Sequential(*layers, dt=1e-3), torch.rand(30, 8, 1, 14, 14)


def recurrent() -> tuple[sw.Network, Tensor]:
    layers = [sw.Linear(30, 60), sw.Recurrent(sw.CubaLIF()), sw.Linear(60, 40), sw.LIF()]
    return sw.Sequential(*layers, dt=1e-3), (torch.rand(40, 12, 30) < 0.1).float()


def delayed() -> tuple[sw.Network, Tensor]:
    slow = sw.DelayedLinear(30, 60, delays=torch.rand(60, 30) * 8e-3, learnable=True)
    layers = [
        slow,
        sw.Dropout(0.3),
        sw.LIF(noise=1.0, backend="reference"),
        sw.Linear(60, 40),
        sw.Delay(2e-3),
    ]
    net = sw.Sequential(*layers, sw.LIF(refractory=1e-3, backend="reference"), dt=1e-3)
    return net.eval(), (torch.rand(40, 12, 30) < 0.1).float()


def branches() -> tuple[sw.Network, Tensor]:
    layers = {"a": sw.Linear(30, 50), "b": sw.Linear(30, 50, bias=False), "out": sw.LIF()}
    edges = [("input", "a"), ("input", "b"), ("a", "out"), ("b", "out")]
    return sw.Graph(layers, edges, dt=1e-3), torch.rand(40, 12, 30)


@pytest.mark.parametrize("rate", [0.02, 0.2])
@pytest.mark.parametrize("make", [dense, images, recurrent, delayed, branches])
def test_every_spiking_layer_reaches_the_rate(make: Maker, rate: float) -> None:
    torch.manual_seed(7)
    net, x = make()
    reached = sw.aim_rates(net, x, rate=rate)
    with torch.no_grad():
        measured = {n: float(r["spikes"].mean()) for n, r in net.run(x).records.items()}
    assert set(reached) == {name for name, layer in net.layers.items() if layer.spiking}
    assert all(value == pytest.approx(rate, rel=0.1) for value in reached.values()), reached
    # Noise of its own in each run moves the rate of a layer, and of those behind it.
    tolerance = 0.3 if make is delayed else 0.01
    assert measured == pytest.approx(reached, rel=tolerance)


def test_one_factor_scales_weight_and_bias_and_keeps_delays_and_recurrent_weights() -> None:
    for make, kept in (
        (recurrent, ["1_recurrent.connection.weight"]),
        (delayed, ["0_delayedlinear.fraction"]),
    ):
        torch.manual_seed(7)
        net, x = make()
        before = weights(net)
        sw.aim_rates(net, x, rate=0.1)
        after = weights(net)
        scaled = [
            name for name in after if name.endswith(("0_linear.weight", "0_delayedlinear.weight"))
        ]
        for name in scaled:
            for part in ("weight", "bias"):
                ratio = after[name.replace("weight", part)] / before[name.replace("weight", part)]
                factor = after[name].sum() / before[name].sum()
                torch.testing.assert_close(ratio, factor.expand_as(ratio), rtol=1e-4, atol=0)
        assert len(scaled) == 1
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        assert changed.isdisjoint(f"nodes.{name}" for name in kept)
        assert all(f"nodes.{name}" in after for name in kept)


def trained(net: sw.Network) -> None:
    rule = Surrogate()
    rule.train_batch(net, batch(), rule.init(net))


def loaded(net: sw.Network) -> None:
    net.load_state_dict(network(seed=1).state_dict())


def set_by_hand(net: sw.Network) -> None:
    with torch.no_grad():
        net.layers["0_linear"].weight.mul_(1.5)


@pytest.mark.parametrize("change", [trained, loaded, set_by_hand])
def test_weights_that_mean_something_are_left_alone(change: Callable[[sw.Network], None]) -> None:
    net = network()
    change(net)
    before = weights(net)
    assert sw.aim_rates(net, batch().x) == {}
    assert same(weights(net), before)


def test_a_second_call_changes_nothing() -> None:
    net = network()
    assert list(sw.aim_rates(net, batch().x)) == ["1_cubalif"]
    before = weights(net)
    assert sw.aim_rates(net, batch().x, rate=0.4) == {}
    assert same(weights(net), before)


def test_silent_input_leaves_the_weights() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(8, 20, bias=False), sw.LIF(), dt=1e-3)
    before = weights(net)
    assert sw.aim_rates(net, torch.zeros(10, 4, 8)) == {"1_lif": 0.0}
    assert same(weights(net), before)


def test_neurons_that_fire_by_themselves_leave_the_weights() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(sw.Linear(8, 20), sw.LIF(v_leak=50.0, tau_mem=5e-3), dt=1e-3)
    before = weights(net)
    assert sw.aim_rates(net, batch().x) == {"1_lif": 1.0}
    assert same(weights(net), before)


def test_weights_that_also_lead_elsewhere_are_left_alone() -> None:
    layers = {"w": sw.Linear(8, 20), "a": sw.LIF(), "out": sw.LI()}
    edges = [("input", "w"), ("w", "a"), ("w", "out"), ("a", "out")]
    net = sw.Graph(layers, edges, dt=1e-3, shape=(8,))
    before = weights(net)
    assert sw.aim_rates(net, batch().x) == {}
    assert same(weights(net), before)


def test_running_means_and_random_streams_are_left_alone() -> None:
    layers = [
        sw.Linear(8, 20),
        sw.BatchNorm(),
        sw.LIF(noise=1.0, backend="reference"),
        sw.Dropout(),
        sw.Linear(20, 9),
    ]
    net = sw.Sequential(*layers, sw.LIF(), dt=1e-3)
    random, buffers = torch.get_rng_state(), [b.clone() for b in net.buffers()]
    assert list(sw.aim_rates(net, batch().x)) == ["5_lif"]
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(b, then) for b, then in zip(net.buffers(), buffers, strict=True))


def test_the_same_call_gives_the_same_weights() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        net, x = delayed()
        sw.aim_rates(net, x)
        found.append(weights(net))
        torch.rand(3)
    assert same(*found)


def test_a_network_with_open_sizes_is_bound_by_the_batch() -> None:
    net = sw.Sequential(sw.Flatten(), sw.Linear(None, 20), sw.LIF(), dt=1e-3)
    reached = sw.aim_rates(net, torch.randint(3, (20, 4, 2, 4)), rate=0.1)
    assert net.shape == (2, 4)
    assert reached["2_lif"] == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ParameterError) as caught:
        sw.aim_rates(network(), batch().x, rate=rate)
    assert str(caught.value) == (
        f"aim_rates: rate must be between 0 and 1 spikes a step, got {rate!r}. Use 0.05."
    )


def test_rates_of_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        sw.aim_rates(network(), batch().x, rate={"1_cubalf": 0.1})
    assert str(caught.value) == (
        "aim_rates: rate must name layers of the network, got '1_cubalf'. Did you mean '1_cubalif'?"
    )


def test_a_batch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"^aim_rates: input must be \(time, batch, 8\), got"):
        sw.aim_rates(network(), torch.zeros(5, 2, 9))
