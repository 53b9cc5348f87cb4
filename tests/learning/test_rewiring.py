"""DEEP R: how many connections are active, which signs they have, and what moves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.tasks import batch, same, weights
from spikewright.data.free_spoken_digits import SeriesSplit
from spikewright.errors import ParameterError
from spikewright.learning import DeepR, Surrogate

NAMES = ("0_linear", "1_recurrent.connection", "2_linear")
IN, BACK, OUT = (f"nodes.{name}.weight" for name in NAMES)
WILD: dict[str, Any] = {"density": 0.3, "l1": 0.5, "temperature": 0.02}


def network(seed: int = 0) -> sw.Sequential:
    torch.manual_seed(seed)
    cells = sw.Recurrent(sw.AHPLIF(tau_mem=10e-3, v_threshold=0.2, backend="reference"))
    net = sw.Sequential(
        sw.Linear(8, 20), cells, sw.Linear(20, 3), sw.LI(backend="reference"), dt=1e-3
    )
    net.build((8,))
    return net


def trained(rule: Surrogate, steps: int, net: sw.Sequential) -> list[tuple[Any, dict[str, Tensor]]]:
    """The rule's state and the weights after each step."""
    state, seen = rule.init(net), []
    for step in range(steps):
        _, state = rule.train_batch(net, batch(step), state)
        seen.append((state, dict(weights(net))))
    return seen


def test_the_number_of_active_connections_is_constant_and_no_sign_changes() -> None:
    net = network()
    seen = trained(Surrogate(rewiring=DeepR(**WILD), learning_rate=0.02), 25, net)
    first = seen[0][0]["wiring"]
    assert set(first) == {IN, BACK, OUT}
    moved = 0
    for state, values in seen:
        for name, wires in state["wiring"].items():
            active, sign = wires["active"], wires["sign"]
            assert int(active.sum()) == round(0.3 * active.numel())
            assert torch.equal(sign, first[name]["sign"])
            assert bool((values[name] * sign >= 0).all())
            assert not values[name][~active].any()
            moved += int((active != first[name]["active"]).sum())
    assert moved > 100


def test_a_step_is_that_of_the_paper_in_numpy() -> None:
    rate, l1 = 0.5, 0.04
    net, rewiring = network(), DeepR(density=0.3, l1=l1)
    rule = Surrogate(rewiring=rewiring, optimiser="sgd", learning_rate=rate)
    state = rewiring.take_up(net, rule.init(net))
    before = {name: value.double().numpy() for name, value in weights(net).items()}
    loss, _ = rule.loss_of(net, batch())
    grads = torch.autograd.grad(loss, [dict(net.named_parameters())[n] for n in (IN, BACK, OUT)])
    _, after = rule.train_batch(net, batch(), state)
    for name, grad in zip((IN, BACK, OUT), grads, strict=True):
        sign = state["wiring"][name]["sign"].numpy()
        active = state["wiring"][name]["active"].numpy()
        theta = before[name] * sign - rate * grad.double().numpy() * sign - rate * l1
        kept = active & (theta >= 0)
        found, now = weights(net)[name].double().numpy(), after["wiring"][name]["active"].numpy()
        np.testing.assert_allclose(found, np.where(kept, theta, 0) * sign, atol=1e-6)
        assert kept.sum() < active.sum() == now.sum()
        assert now[kept].all()


def test_noise_has_the_spread_of_the_temperature() -> None:
    net = sw.Sequential(sw.Linear(400, 300, bias=False), sw.LI(), dt=1e-3)
    with torch.no_grad():
        net.layers["0_linear"].weight.fill_(9.0)
    rewiring = DeepR(density=0.5, temperature=0.3)
    state = rewiring.take_up(net, {"step": 0, "total_steps": None, "moments": {}})
    (parameter,) = net.parameters()
    before = parameter.detach().clone()
    parameter.grad = torch.zeros_like(parameter)
    plan = sw.learning.Optimisation(optimiser="sgd", learning_rate=0.2)
    rewiring.descend(plan, {"nodes.0_linear.weight": parameter}, state)
    moved = (parameter.detach() - before)[before != 0]
    assert len(moved) == 60_000
    assert float(moved.std()) == pytest.approx((2 * 0.2 * 0.3) ** 0.5, rel=0.02)
    assert float(moved.mean()) == pytest.approx(0.0, abs=0.01)


def test_the_first_choice_keeps_the_spread_of_sums_and_a_sparse_matrix_as_it_is() -> None:
    net = sw.Sequential(sw.Linear(400, 300, bias=False), sw.LI(), dt=1e-3)
    fresh: Any = {"step": 0}
    dense = weights(net)[IN].square().sum(1).mean()
    DeepR(density=0.2).take_up(net, fresh)
    chosen = weights(net)
    sparse = chosen[IN]
    assert int((sparse != 0).sum()) == 24_000
    assert float(sparse.square().sum(1).mean()) == pytest.approx(float(dense), rel=0.02)
    state = DeepR(density=0.25, seed=5).take_up(net, fresh)
    assert same(weights(net), chosen)
    (wires,) = state["wiring"].values()
    assert int(wires["active"].sum()) == 30_000
    assert bool(wires["active"][sparse != 0].all())


def test_dales_law_gives_all_that_leaves_a_neuron_one_sign_for_good() -> None:
    signs = torch.ones(20).index_fill(0, torch.arange(5), -1)
    net = network()
    rewiring = DeepR(**WILD, signs={NAMES[1]: signs, NAMES[2]: signs})
    for _, values in trained(Surrogate(rewiring=rewiring, learning_rate=0.02), 10, net):
        for name in (BACK, OUT):
            assert bool((values[name] * signs >= 0).all())
            assert values[name].any()


def test_only_named_connections_are_rewired_each_to_its_density() -> None:
    net = network()
    rewiring = DeepR(density={NAMES[1]: 0.1, NAMES[2]: 0.5}, l1=0.1)
    state, values = trained(Surrogate(rewiring=rewiring, learning_rate=0.02), 3, net)[-1]
    counts = {name: int(wires["active"].sum()) for name, wires in state["wiring"].items()}
    assert counts == {BACK: 40, OUT: 30}
    assert bool((values[IN] != 0).all())


def test_the_optimiser_forgets_a_dormant_connection() -> None:
    seen = trained(Surrogate(rewiring=DeepR(**WILD), learning_rate=0.02), 5, network())
    state = seen[-1][0]
    for name, wires in state["wiring"].items():
        for moment in ("exp_avg", "exp_avg_sq"):
            assert not state["moments"][name][moment][~wires["active"]].any()
            assert state["moments"][name][moment].any()


def test_connections_that_are_not_trained_stay_as_they_are() -> None:
    net = network()
    net.get_parameter(IN).requires_grad_(False)
    before = weights(net)[IN]
    rule = Surrogate(rewiring=DeepR(**WILD), learning_rate=0.02)
    state, values = trained(rule, 2, net)[-1]
    assert set(state["wiring"]) == {BACK, OUT}
    assert torch.equal(values[IN], before)
    (problem,) = Surrogate(rewiring=DeepR(density={NAMES[0]: 0.2})).requirements(net)
    assert "is no all-to-all connection that is trained" in problem


def test_weights_whose_size_the_first_batch_gives_are_rewired_too() -> None:
    net = sw.Sequential(sw.Linear(None, 20), sw.LI(backend="reference"), dt=1e-3)
    rule = Surrogate(rewiring=DeepR(density=0.3))
    _, state = rule.train_batch(net, batch(), rule.init(net))
    assert int(state["wiring"][IN]["active"].sum()) == 48


def test_evaluation_before_training_leaves_the_weights() -> None:
    net = network()
    before, rule = weights(net), Surrogate(rewiring=DeepR())
    rule.evaluate(net, batch(), rule.init(net))
    assert same(weights(net), before)


class Task:
    """A data set of the batches of `tasks`."""

    name, dt, classes = "thirds", 1e-3, ("a", "b", "c")

    def __init__(self) -> None:
        whole = batch(samples=24)
        load = lambda: (whole.x.transpose(0, 1), whole.y)  # noqa: E731 - once
        self.train = self.validation = self.test = SeriesSplit(load, 20, (8,))


def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    rule = Surrogate(rewiring=DeepR(**WILD), learning_rate=0.02)
    options: dict[str, Any] = {"batch_size": 8, "progress": False, "keep": "last"}
    whole, parts = network(), network()
    done = sw.fit(whole, Task(), rule, epochs=3, folder=tmp_path / "whole", **options)
    sw.fit(parts, Task(), rule, epochs=1, folder=tmp_path / "parts", **options)
    again = network(seed=9)  # what a resumed run starts with does not matter
    resumed = sw.fit(again, Task(), rule, epochs=3, folder=tmp_path / "parts", **options)
    assert same(weights(again), weights(whole))
    for name, wires in done.rule_state["wiring"].items():
        assert same(resumed.rule_state["wiring"][name], wires)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, "DeepR: density must be above 0 and at most 1, got 0.0. "),
        ({"density": {"a": 1.5}}, "DeepR: density must be above 0 and at most 1, got 1.5. "),
        ({"density": {}}, "DeepR: density must name at least one connection, got none. "),
        ({"l1": -1.0}, "DeepR: l1 must be zero or positive, got -1.0. "),
        ({"temperature": float("nan")}, "DeepR: temperature must be zero or positive, got nan. "),
        ({"signs": {"a": torch.tensor([1.0, 0.5])}}, "DeepR: signs of 'a' must be +1 or -1 "),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        DeepR(**options)
    assert message in str(caught.value)


def test_names_and_signs_that_do_not_fit_the_network_are_problems() -> None:
    rewiring = DeepR(density={"1_recurrent": 0.2}, signs={NAMES[2]: torch.ones(3)})
    problems = Surrogate(rewiring=rewiring).requirements(network())
    assert len(problems) == 3
    assert problems[0].startswith("layer '1_recurrent': DeepR rewires it, but it is no all-to-all")
    assert problems[1] == "layer '2_linear': DeepR has signs for it, but density does not name it"
    assert problems[2] == "layer '2_linear': DeepR needs 20 signs, got 3"
