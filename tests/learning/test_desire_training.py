"""What training by desires does to networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from learning.desire_tasks import CELLS, DT, STEPS, network, patterns, spikes, weights
from spikewright.errors import ParameterError, RuleError, ShapeError
from spikewright.learning import Batch, Desire, doctor
from spikewright.learning.desire import rule as rule_module
from spikewright.learning.desire.chain import chain_of
from spikewright.learning.desire.passes import counts, forward

BATCH = 20


def trained(net: Any, rule: Desire, data: Batch, epochs: int = 10) -> float:
    """Accuracy on fresh patterns after training on ``data``, (time, samples, n)."""
    state = rule.init(net)
    for first in [*range(0, data.samples, BATCH)] * epochs:
        part = slice(first, first + BATCH)
        _, state = rule.train_batch(net, Batch(data.x[:, part], data.y[part]), state)
    return float(rule.evaluate(net, patterns(400, seed=1), state)["accuracy"])


@pytest.mark.parametrize("told", [1, -1])
def test_a_neuron_that_is_told_something_does_it_in_nine_of_ten_trials(told: int) -> None:
    net, x = network(30, 2), spikes(300, 30)
    rule, obeyed, trials = Desire(learning_rate=3e-3), 0, 0
    start = [weight.detach().clone() for weight in net.parameters()]
    for sample in range(300):
        for weight, old in zip(net.parameters(), start, strict=True):
            weight.data.copy_(old)
        one = x[:, [sample]]
        before = counts(forward(chain_of(net), one).outputs)[0]
        wanted = range(1, 12) if told > 0 else range(5, 20)
        if before[0] not in wanted:
            continue
        target = torch.tensor([0 if told > 0 else 1])
        rule.train_batch(net, Batch(one, target), rule.init(net))
        after = counts(forward(chain_of(net), one).outputs)[0]
        obeyed, trials = obeyed + (told * (after[0] - before[0]) > 0), trials + 1
    assert trials > 50
    assert obeyed >= 0.9 * trials


def test_patterns_are_learnt_and_random_desires_teach_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, rule = patterns(400), Desire(learning_rate=3e-4)
    assert trained(network(40, 200, 60, 4, dropout=0.2), rule, data) > 0.95
    stream, told = np.random.default_rng(0), rule_module.signs_of

    def at_random(*given: Any) -> list[Any]:
        return [stream.permuted(signs, axis=1) for signs in told(*given)]

    monkeypatch.setattr(rule_module, "signs_of", at_random)
    assert trained(network(40, 200, 60, 4, dropout=0.2), rule, data) < 0.5


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikewright.engine.threads.WORTH_A_THREAD", 1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            net = network(40, 700, 300, 4, dropout=0.3)
            rule = Desire(learning_rate=1e-3)
            state = {"samples": 0, "step": 0, "key": 5}
            for first in (0, 16):
                data = patterns(32)
                part = Batch(data.x[:, first : first + 16], data.y[first : first + 16])
                _, state = rule.train_batch(net, part, state)
            results.append(weights(net))
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


def test_where_no_output_is_told_nothing_changes() -> None:
    net, rule = network(4, 2, 2), Desire(learning_rate=1.0)
    for weight, value in zip(
        net.parameters(), ([[0.5] * 4] * 2, [[1.0, 1.0], [0, 0]]), strict=True
    ):
        weight.data = torch.tensor(value)
    batch, before = Batch(torch.ones(STEPS, 1, 4), torch.tensor([0])), weights(net)
    metrics, _ = rule.train_batch(net, batch, rule.init(net))
    assert metrics["taught"] == 0
    assert metrics["rates"] == {"1_lif": 1.0, "3_lif": 0.5}
    assert all((now == old).all() for now, old in zip(weights(net), before, strict=True))


def test_silent_networks_learn_nothing_and_are_told_so() -> None:
    net, rule = network(30, 20, 5), Desire(learning_rate=1.0)
    for weight in net.parameters():
        weight.data.mul_(1e-3)
    batch, before = Batch(spikes(3, 30), torch.tensor([0, 1, 2])), weights(net)
    rule.train_batch(net, batch, rule.init(net))
    assert all((now == old).all() for now, old in zip(weights(net), before, strict=True))
    found = doctor(net, batch, rule)
    assert [health.rate for health in found.layers] == [0, 0]
    assert found.advice[0].startswith("layer '1_lif' is silent, and a neuron that does not spike")


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    data = sw.data.YinYang(steps=STEPS, dt=DT, t_early=0.0, t_late=15e-3, sizes=(90, 30, 30))
    rule = Desire(learning_rate=1e-3, fall=100)
    options: dict[str, Any] = {"batch_size": 20, "progress": False, "initial_rate": None}
    inputs = data.train.shape[0]
    torch.manual_seed(3)
    whole = network(inputs, 30, 3, dropout=0.3)
    sw.fit(whole, data, rule, epochs=3, **options)
    torch.manual_seed(3)
    parts = network(inputs, 30, 3, dropout=0.3)
    first = weights(parts)
    sw.fit(parts, data, rule, epochs=1, folder=tmp_path, **options)
    again = network(inputs, 30, 3, dropout=0.3)
    sw.fit(again, data, rule, epochs=3, folder=tmp_path, **options)
    for one, other, old in zip(weights(whole), weights(again), first, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one != old).any()


def test_the_rate_falls_with_samples_whatever_the_batch() -> None:
    net, data = network(40, 10, 4), patterns(12)
    rule = Desire(fall=50)
    state = rule.init(net)
    for part in (slice(0, 5), slice(5, 12)):
        _, state = rule.train_batch(net, Batch(data.x[:, part], data.y[part]), state)
    assert (state["samples"], state["step"]) == (12, 2)
    assert rule.rate(12) == pytest.approx(1e-5 * np.exp(-12 / 50))
    assert Desire().rate(10**9) == 1e-5


def test_accuracy_takes_the_first_of_several_and_unique_none() -> None:
    net, rule = network(2, 3), Desire()
    net.layers["0_linear"].weight.data = torch.tensor([[2.0, 1.0], [2.0, 0.5], [0.0, 0.9]])
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).expand(STEPS, 3, 2)
    found = rule.evaluate(net, Batch(x, torch.tensor([0, 0, 2])), rule.init(net))
    assert found["predictions"].tolist() == [0, 0, 0]
    assert float(found["accuracy"]) == pytest.approx(2 / 3)
    assert float(found["unique"]) == pytest.approx(1 / 3)


def test_statistics_count_what_the_layers_are_told() -> None:
    net, rule, data = network(40, 60, 4), Desire(), patterns(30)
    found = rule.statistics(net, data)
    for layer in found.layers:
        assert layer.negative + layer.off + layer.positive == pytest.approx(1)
        assert 0 < layer.learning <= layer.gated
    last = found.layers[-1]
    assert last.positive <= 0.25  # one label in four
    metrics, _ = rule.train_batch(net, data, rule.init(net))
    assert metrics["gated/3_lif"] == pytest.approx(last.gated)
    assert metrics["taught"] == pytest.approx(found.taught)
    assert "negative" in str(found)


LIF: dict[str, Any] = CELLS
WRONG = {
    "layer '0_linear': has a bias": [sw.Linear(3, 2), sw.LIF(**LIF)],
    "layer '0_conv2d': Conv2d has no rule for desires": [sw.Conv2d(1, 2, 2, bias=False)],
    "layer '1_lif': resets to a value": [sw.Linear(3, 2, bias=False), sw.LIF()],
    "layer '1_cubalif': CubaLIF has no rule": [sw.Linear(3, 2, bias=False), sw.CubaLIF()],
    "layer '1_lif': has noise": [sw.Linear(3, 2, bias=False), sw.LIF(**LIF, noise=0.1)],
    "layer '1_lif': has learnable": [
        sw.Linear(3, 2, bias=False), sw.LIF(**LIF, v_threshold=sw.learnable(1.0)),
    ],
    "layer '1_lif': has parameters that differ": [
        sw.Linear(3, 2, bias=False), sw.LIF(**LIF, v_threshold=torch.tensor([1.0, 2.0])),
    ],
    "layer '1_lif': has its rest": [sw.Linear(3, 2, bias=False), sw.LIF(**LIF, v_leak=0.5)],
    "layer '1_lif': counts several": [
        sw.Linear(3, 2, bias=False),
        sw.LIF(**LIF | {"firing": sw.Firing("subtract", max_spikes=3)}),
    ],
    "layer '1_linear': follows another": [
        sw.Linear(3, 2, bias=False), sw.Linear(2, 2, bias=False), sw.LIF(**LIF),
    ],
    "layer '1_dropout': drops currents": [
        sw.Linear(3, 2, bias=False), sw.Dropout(0.5), sw.LIF(**LIF),
    ],
    "layer '2_linear': must be neurons behind": [
        sw.Linear(3, 2, bias=False), sw.LIF(**LIF), sw.Linear(2, 2, bias=False),
    ],
    "layer '0_lif': must be neurons behind": [sw.LIF(**LIF)],
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_what_does_not_fit_is_named_with_its_reason(line: str) -> None:
    net = sw.Sequential(*WRONG[line], dt=DT)
    assert any(found.startswith(line) for found in Desire().requirements(net))


def test_frozen_weights_and_other_modules_are_refused_before_training() -> None:
    net = network(3, 2)
    next(net.parameters()).requires_grad_(False)
    assert "its weights are frozen" in Desire().requirements(net)[0]
    assert Desire().requirements(torch.nn.Linear(2, 2)) == [
        "network: must be a spikewright Network, is Linear"
    ]
    data = sw.data.YinYang(steps=STEPS, dt=DT, t_late=15e-3, sizes=(9, 3, 3))
    with pytest.raises(RuleError, match="has a bias"):
        sw.fit(sw.Sequential(sw.Linear(None, 3), dt=DT), data, Desire(), epochs=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"margin": -1},
        {"margin": 2.5},
        {"hidden_gate": 0.0},
        {"fall": -1.0},
    ],
)
def test_options_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=rf"learning.Desire: {next(iter(wrong))} must be"):
        Desire(**wrong)


def test_input_that_is_no_spikes_and_targets_that_are_no_classes_are_refused() -> None:
    net, rule = network(3, 2), Desire()
    with pytest.raises(RuleError, match="input must be spikes, zeros and ones"):
        rule.evaluate(net, Batch(torch.full((5, 1, 3), 0.5), torch.tensor([0])), {})
    with pytest.raises(ShapeError, match="targets must lie between 0 and 1"):
        rule.evaluate(net, Batch(torch.ones(5, 1, 3), torch.tensor([2])), {})
    with pytest.raises(ShapeError, match="input must be finite"):
        rule.evaluate(net, Batch(torch.full((5, 1, 3), float("nan")), torch.tensor([0])), {})
    with pytest.raises(ShapeError, match="input must be"):
        rule.evaluate(net, Batch(torch.ones(5, 1, 4), torch.tensor([0])), {})


def test_a_graph_that_branches_is_refused() -> None:
    first, second = sw.Linear(3, 3, bias=False), sw.Linear(3, 3, bias=False)
    layers = {"a": first, "b": sw.LIF(**LIF), "c": second, "d": sw.LIF(**LIF)}
    sources = {"a": ("input",), "b": ("a",), "c": ("b",), "d": ("c", "a")}
    net = sw.Graph(layers, [(s, t) for t, given in sources.items() for s in given], dt=DT)
    assert Desire().requirements(net) == [
        "layer 'd': takes its input from elsewhere than the layer before."
    ]
