"""`Local`: online learning, what is carried, labels and read-outs, refusals, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import spikewright as sw
from learning.local_tasks import (
    CLASSES,
    INPUTS,
    NEURONS,
    Data,
    assigned,
    batch,
    equal,
    fitted,
    network,
    plastic,
    rule,
)
from learning.tasks import same, weights
from spikewright.errors import ParameterError, RuleError
from spikewright.learning import Batch, Labels, Local, Rule
from spikewright.learning.plasticity import (
    VDSP,
    PairSTDP,
    RewardSTDP,
    SumOfProducts,
)
from spikewright.learning.plasticity.readout import add_responses, predict


def test_it_is_a_rule_and_learns_the_classes_without_seeing_them() -> None:
    net, of = network(), rule()
    assert isinstance(of, Rule)
    assert of.requirements(net) == []
    before = plastic(net).detach().clone()
    result = fitted(net, of, epochs=6)
    found = sw.evaluate(net, Data().test, of, rule_state=result.rule_state)
    assert found.metrics["accuracy"] >= 0.8
    assert not torch.equal(plastic(net), before)
    assert plastic(net).min() >= 0
    assert plastic(net).max() <= 1


def test_fit_leaves_first_weights_as_they_are_if_they_are_within_their_bounds() -> None:
    net = network()
    before = plastic(net).detach().clone()
    fitted(net, Local(VDSP(lr=1e-30)))
    torch.testing.assert_close(plastic(net).detach(), before)


def test_weights_outside_the_bounds_are_brought_inside() -> None:
    net = network()
    with torch.no_grad():
        plastic(net)[0, 0], plastic(net)[1, 1] = -3.0, 7.0
    rule().init(net)
    assert (plastic(net)[0, 0], plastic(net)[1, 1]) == (0.0, 1.0)


def test_two_batches_are_one_batch_of_all_their_samples() -> None:
    for carry in (("a",), "all", ()):
        one, two = network(), network()
        of = rule(carry=carry)
        whole = batch()
        _, state = of.train_batch(one, whole, of.init(one))
        parts = of.init(two)
        for part in (slice(0, 5), slice(5, 12)):
            _, parts = of.train_batch(two, Batch(whole.x[:, part], whole.y[part]), parts)
        assert same(weights(one), weights(two))
        assert equal(state, parts)


def test_by_default_only_adaptation_goes_on_to_the_next_sample() -> None:
    net, of = network(), rule()
    _, state = of.train_batch(net, batch(), of.init(net))
    start = of.start(net, 4, state)
    fresh = {name: layer.initial_state(4) for name, layer in net.layers.items()}
    cells = start["2_winnertakeall"].neuron
    assert cells.a.shape == (4, NEURONS)
    assert cells.a.max() > 1
    assert equal(start["2_winnertakeall"]._replace(neuron=cells._replace(a=0 * cells.a)),
                 fresh["2_winnertakeall"])  # fmt: skip
    assert equal(start["0_lif"], fresh["0_lif"])
    _, state = (everything := rule(carry="all")).train_batch(net, batch(), everything.init(net))
    assert not equal(everything.start(net, 1, state)["0_lif"], net.layers["0_lif"].initial_state(1))


def test_each_output_spike_changes_the_synapses_of_its_neuron() -> None:
    net, of = network(), rule()
    metrics, state = of.train_batch(net, batch(), of.init(net))
    spikes = float(metrics["spikes"])
    assert spikes > 0
    assert float(metrics["updates"]) == pytest.approx(spikes * INPUTS)
    assert metrics["left_out"] == 0
    assert state["online"].plastic["1_linear"].counts.tolist() == [round(spikes * INPUTS * 12), 0]
    assert state["samples"] == 12


def test_evaluation_changes_nothing_and_takes_each_sample_by_itself() -> None:
    net = network()
    of, state = assigned(net)
    before, kept = (
        weights(net),
        torch.utils._pytree.tree_map(
            lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, state
        ),
    )
    whole = batch(7, seed=5)
    together = of.evaluate(net, whole, state)
    alone = [
        int(
            of.evaluate(net, Batch(whole.x[:, i : i + 1], whole.y[i : i + 1]), state)["predictions"]
        )
        for i in range(7)
    ]
    assert together["predictions"].tolist() == alone
    assert same(weights(net), before)
    assert equal(state, kept)


def test_threads_change_no_result() -> None:
    net = network()
    of, state = assigned(net)
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(of.evaluate(net, batch(10, seed=4), state))
    finally:
        torch.set_num_threads(threads)
    assert equal(found[0], found[1])


@pytest.mark.parametrize("frozen", [("a",), ()])
def test_thresholds_adapt_in_evaluation_only_if_they_are_not_frozen(
    frozen: tuple[str, ...],
) -> None:
    net, of = network(beta=0.5), rule(frozen=frozen)
    state = of.assign(net, [batch()], of.init(net))
    given = batch(8, seed=3)
    ours = of.evaluate(net, given, state)
    with torch.no_grad():
        free = net.run(given.x, of.start(net, 8, state), record=("counts",))
    theirs = float(free.records["2_winnertakeall"]["counts"].sum(-1).mean())
    if frozen:
        assert float(ours["spikes"]) > theirs
    else:
        assert float(ours["spikes"]) == pytest.approx(theirs)


def test_the_table_of_responses_is_that_of_the_network_with_learning_off() -> None:
    net = network()
    of, state = assigned(net, rule(frozen=()))
    given = batch()
    run = net.run(given.x, of.start(net, 12, state), record=("counts",))
    counts = run.records["2_winnertakeall"]["counts"].double()
    expected = torch.stack([counts[given.y == k].sum(0) for k in range(CLASSES)], 1)
    assert torch.equal(state["table"][:-1], expected)
    assert state["table"][-1].tolist() == [4, 4, 4]


# Spikes of four neurons to classes 0, 1, 2; the last neuron never spiked.
RESPONSES = torch.tensor([[3.0, 1, 0, 0], [0, 1, 4, 0], [1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("counts", "total", "proportional", "most"),
    [
        ([3, 0, 0, 0], 0, 0, 0),
        # 2 spikes of label 0 and 1 each; three quarters and a third of a neuron for 0.
        ([0, 3, 0, 0], 0, 0, 0),
        ([2, 0, 3, 0], 1, 1, 1),
        # More spikes for label 0, the busiest neuron says 1.
        ([2, 2, 3, 0], 0, 1, 1),
        ([0, 0, 0, 0], -1, -1, -1),
        ([0, 0, 0, 5], -1, -1, -1),
        ([0, 0, 1, 5], 1, 1, 1),
    ],
)
def test_read_outs_by_hand(counts: list[int], total: int, proportional: int, most: int) -> None:
    table = add_responses(None, RESPONSES, torch.arange(3))
    given = torch.tensor([counts])
    found = [int(predict(given, table, how)) for how in ("sum", "proportional", "most")]
    assert found == [total, proportional, most]


def test_classes_count_alike_however_many_samples_they_have() -> None:
    table = add_responses(
        None, torch.tensor([[2.0], [2.0], [2.0], [3.0]]), torch.tensor([0, 0, 0, 1])
    )
    assert int(predict(torch.tensor([[1.0]]), table, "sum")) == 1


def test_a_silent_network_is_right_for_no_sample() -> None:
    net = network()
    of, state = assigned(net)
    with torch.no_grad():
        plastic(net).zero_()
    found = sw.evaluate(net, Data().test, of, rule_state=state)
    assert found.metrics["accuracy"] == 0
    assert found.metrics["silent"] == 1
    assert found.predictions is not None
    assert (found.predictions == -1).all()
    assert found.confusion is not None
    assert found.confusion.sum() == 0


def test_evaluation_without_labels_says_how_to_get_them() -> None:
    net = network()
    with pytest.raises(RuleError, match=r"call rule\.assign\(network, batches, rule_state\)"):
        sw.evaluate(net, Data().test, rule())


def test_labels_take_as_many_samples_as_they_are_told() -> None:
    labels = Labels(samples=7, validation_samples=4)
    seen: list[int] = []
    result = fitted(network(), rule(labels=labels))
    assert int(result.rule_state["table"][-1].sum()) == 7
    net, of = network(), rule(labels=labels)
    state = of.before_evaluation(net, [batch(3), batch(3), batch(3)], of.init(net), final=False)
    seen.append(int(state["table"][-1].sum()))
    assert seen == [4]
    assert int(fitted(network(), rule()).rule_state["table"][-1].sum()) == 24


def test_normalisation_gives_each_neuron_the_same_sum_of_weights() -> None:
    net, of = network(), rule(normalise=2.0)
    state = of.init(net)
    torch.testing.assert_close(plastic(net).sum(1), torch.full((NEURONS,), 2.0))
    of.train_batch(net, batch(), state)
    torch.testing.assert_close(plastic(net).sum(1), torch.full((NEURONS,), 2.0))
    with torch.no_grad():
        plastic(net)[0] = torch.tensor([1e-42, *[0.0] * 8])  # no finite number scales it to 2
    of.init(net)
    assert plastic(net).isfinite().all()
    of = rule(normalise={"1_linear": 100.0})
    of.init(net)
    assert (plastic(net) <= 1).all()
    with torch.no_grad():
        plastic(net).zero_()
    of.init(net)
    assert (plastic(net) == 0).all()


def test_a_reward_decides_the_sign_of_the_change() -> None:
    given, changes = batch(3), []
    for reward in (0.0, 1.0, -1.0):
        net = network()
        seen: list[tuple[int, int]] = []

        def judge(counts: Tensor, target: int, reward: float = reward, seen: Any = seen) -> float:
            seen.append((int(counts.sum()), target))
            return reward

        of = Local(RewardSTDP(lr=1e-3, A_minus=0.0), reward=judge, rest=2)
        state = of.init(net)
        before = plastic(net).detach().clone()
        metrics, _ = of.train_batch(net, given, state)
        changes.append(plastic(net).detach() - before)
        assert [target for _, target in seen] == [0, 1, 2]
        assert sum(count for count, _ in seen) == pytest.approx(3 * float(metrics["spikes"]))
    nothing, more, less = changes
    assert (nothing == 0).all()
    assert more.max() > 0
    assert more.min() >= 0
    assert less.min() < 0
    assert less.max() <= 0


def test_rest_lets_a_carried_membrane_decay() -> None:
    potentials = list[Tensor]()
    for rest in (0, 200):
        net, of = network(), rule(carry="all", rest=rest)
        _, state = of.train_batch(net, batch(1), of.init(net))
        potentials.append(of.start(net, 1, state)["0_lif"].neuron.v)
    assert (potentials[0] - 0.9).abs().max() > 0.1
    torch.testing.assert_close(potentials[1], torch.full((1, INPUTS), 0.9))


class Killed(Exception):
    pass


@pytest.mark.parametrize("carry", [("a",), "all"])
@pytest.mark.parametrize("after", [2, 5, 7])
def test_a_resumed_run_equals_an_uninterrupted_one(
    after: int, carry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = network()
    expected = fitted(straight, rule(carry=carry), folder=tmp_path / "a", checkpoint_steps=1)
    cut, train, calls = network(), Local.train_batch, []

    def dying(self: Local, *given: Any) -> Any:
        calls.append(None)
        if len(calls) > after:
            raise Killed
        return train(self, *given)

    monkeypatch.setattr(Local, "train_batch", dying)
    with pytest.raises(Killed):
        fitted(cut, rule(carry=carry), folder=tmp_path / "b", checkpoint_steps=1)
    monkeypatch.undo()
    resumed = network(seed=9)
    found = fitted(resumed, rule(carry=carry), folder=tmp_path / "b", checkpoint_steps=1)
    assert same(weights(resumed), weights(straight))
    assert equal(found.rule_state, expected.rule_state)


@pytest.mark.parametrize("kept_in_a_folder", [True, False])
def test_the_best_weights_come_with_the_state_and_labels_they_had(
    kept_in_a_folder: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "run" if kept_in_a_folder else None
    net, of = network(), rule()
    result = fitted(net, of, epochs=5, keep="best", folder=folder)
    found = sw.evaluate(net, Data().validation, of, rule_state=result.rule_state)
    assert found.metrics["accuracy"] == result.best["accuracy"]
    assert result.rule_state["samples"] == 24 * result.best["epoch"]


UNBUILT = sw.Sequential(sw.Linear(None, 2), sw.LIF(), dt=1e-3)
CONV = sw.Sequential(sw.Conv2d(1, 2, 3), sw.Flatten(), sw.Linear(None, 2), sw.LIF(), dt=1e-3)
CONV.build((1, 5, 5))
READOUT = sw.Sequential(sw.Linear(4, 2), sw.LI(), dt=1e-3)
READOUT.build((4,))
DIRECT = sw.Sequential(sw.Linear(4, 2), sw.LIF(), dt=1e-3)
DIRECT.build((4,))
FIXED = sw.Sequential(sw.LIF(), dt=1e-3)
FIXED.build((4,))


@pytest.mark.parametrize(
    ("net", "of", "words"),
    [
        (torch.nn.Linear(1, 1), rule(), "must be a spikewright Network, is Linear"),
        (UNBUILT, Local(PairSTDP()), "its input shape must be known; call network.build(shape)"),
        (CONV, Local({"0_conv2d": PairSTDP()}), "'0_conv2d': a plastic connection must be"),
        (DIRECT, Local({"0_linaer": PairSTDP()}), "'0_linaer': plastic must name connections"),
        (READOUT, Local(PairSTDP()), "layer '1_li': gives no spikes"),
        (READOUT, Local(PairSTDP()), "'0_linear': between neurons and the plastic"),
        (DIRECT, rule(), "got 'x_v'. Put neurons with a membrane v before the connection"),
        (FIXED, Local(PairSTDP()), "has no Linear connection whose weights may change"),
        (DIRECT, Local(RewardSTDP()), "its rule waits for a reward r and none is given"),
        (DIRECT, Local(PairSTDP(), reward=lambda *_: 1.0, rest=1), "no rule names r"),
        (DIRECT, Local(PairSTDP(), carry=("vv",)), "no layer has a state field 'vv', which carry"),
        (DIRECT, Local(PairSTDP(), frozen=("q",)), "no layer has a state field 'q', which frozen"),
        (DIRECT, Local(PairSTDP(), normalise={"1_lif": 1.0}), "normalise names it, but no rule"),
    ],
)  # fmt: skip
def test_what_it_cannot_train_is_said_by_layer(net: Any, of: Local, words: str) -> None:
    assert words in "; ".join(of.requirements(net))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rest": -1}, "rest must be a whole number of steps from 0, got -1"),
        ({"reward": lambda *_: 1.0}, "rest must be at least 1 with a reward"),
        ({"frozen": "av"}, "frozen must be a tuple of names of state fields, got 'av'"),
        ({"carry": "a"}, "carry must be a tuple of names of state fields, got 'a'"),
        ({"normalise": 0.0}, "normalise must be a positive sum of weights, got 0.0"),
        ({"normalise": {"a": float("nan")}}, "normalise must be a positive sum of weights"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        rule(**options)


def test_labels_know_their_read_outs() -> None:
    with pytest.raises(ParameterError, match="readout must be one of sum, proportional, most"):
        Labels(readout="mean")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="samples must be a whole number from 1 or None"):
        Labels(samples=0)


def test_targets_that_are_no_classes_are_refused() -> None:
    net = network()
    of, state = assigned(net)
    with pytest.raises(sw.errors.ShapeError, match="targets must be one class from 0"):
        of.assign(net, [Batch(batch().x, torch.rand(12))], state)


def test_rules_as_text_and_as_a_mapping_are_the_same() -> None:
    found = []
    for programs in (
        VDSP(lr=0.05),
        {"1_linear": VDSP(lr=0.05)},
        VDSP(lr=0.05).plasticity(),
        SumOfProducts(str(VDSP(lr=0.05).program())),
    ):
        net, of = network(), Local(programs)
        of.train_batch(net, batch(), of.init(net))
        found.append(weights(net))
    assert all(same(found[0], other) for other in found[1:])
