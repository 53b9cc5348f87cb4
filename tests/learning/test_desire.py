"""Desire backpropagation against hand calculation and a reference of one sample at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import spikewright as sw
from learning.desire_tasks import CELLS, DT, STEPS, network, spikes, weights
from reference import desire as reference
from spikewright.errors import RuleError
from spikewright.learning import Batch, Desire
from spikewright.learning.desire.chain import chain_of
from spikewright.learning.desire.passes import backward, counts, forward
from spikewright.learning.desire.rule import draw_dropped
from spikewright.learning.desire.signals import output_signs, signs_of

RATE = 1e-3


def by_hand() -> tuple[sw.Network, torch.Tensor]:
    """A 2-2-2 network and four steps of input, all of it worked out in the test below."""
    net = network(2, 2, 2)
    first, second = net.parameters()
    first.data = torch.tensor([[0.6, 0.2], [0.9, -0.1]])
    second.data = torch.tensor([[1.0, 0.5], [0.2, 0.6]])
    return net, torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])[:, None]


def test_a_network_of_two_layers_does_what_was_worked_out_by_hand() -> None:
    net, x = by_hand()
    rule = Desire(learning_rate=RATE, margin=0)
    chain, y = chain_of(net), torch.tensor([1])
    ran = forward(chain, x)
    # h0: 0.8 | 1.2 spike | 0.95 | 1.31 spike.  h1: 0.8 | 1.5 spike | 1.175 spike | 1.03 spike
    # o0: 0 | 1.5 spike | 0.875 | 2.16 spike.  o1: 0 | 0.8 | 1.2 spike | 0.95
    assert ran.inputs[1].tolist() == [[[0b1010], [0b1110]]]
    assert ran.outputs.tolist() == [[[0b1010], [0b0100]]]
    # e = 2/4 for o0, 1 - 1/4 for the label o1: both on.  D_h0 = -1.0 0.5 + 0.2 0.75 = -0.35,
    # D_h1 = -0.5 0.5 + 0.6 0.75 = 0.2
    hidden, output = signs_of(chain, ran, y.numpy(), rule.gates)
    assert output.tolist() == [[-1, 1]]
    assert hidden.tolist() == [[-1, 1]]
    before = [weight.detach().double().clone() for weight in net.parameters()]
    rule.train_batch(net, Batch(x, y), rule.init(net))
    # Traces of the input: 1, 1.75, 2.3125, 2.734375 and 1, 0.75, 1.5625, 1.171875; of the hidden
    # neurons 0, 1, 0.75, 1.5625 and 0, 1, 1.75, 2.3125.
    change = [[[-4.484375, -1.921875], [6.796875, 3.484375]], [[-2.5625, -3.3125], [0.75, 1.75]]]
    for weight, old, new in zip(net.parameters(), before, change, strict=True):
        expected = old + RATE * torch.tensor(new, dtype=torch.float64)
        torch.testing.assert_close(weight.detach().double(), expected, rtol=0, atol=1e-7)


def test_the_sum_that_a_hidden_neuron_is_told_by_is_weighed_by_errors() -> None:
    net, _ = by_hand()
    errors = np.array([[-0.5, 0.75]], np.float32)
    # D = (-0.35, 0.2): each is on up to its own size, and off beyond it.
    for gate, expected in ((0.19, [-1, 1]), (0.3, [-1, 0]), (0.36, [0, 0])):
        assert backward(chain_of(net), 1, errors, gate).tolist() == [expected]


@pytest.mark.parametrize(("wrong", "sign"), [(4, 0), (5, -1), (20, -1)])
def test_a_wrong_neuron_is_told_from_five_spikes_on(wrong: int, sign: int) -> None:
    assert output_signs(np.array([[16, wrong]]), np.array([0]), 16, 0.3).tolist() == [[0, sign]]


@pytest.mark.parametrize(("label", "sign"), [(0, 1), (11, 1), (12, 0), (16, 0), (20, 0)])
def test_a_label_neuron_is_told_up_to_eleven_spikes(label: int, sign: int) -> None:
    assert output_signs(np.array([[label, 0]]), np.array([0]), 16, 0.3).tolist() == [[sign, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_of_one_are_the_reference_bit_for_bit(dtype: torch.dtype) -> None:
    net = network(30, 150, 70, 5, dtype=dtype)
    rule, x = Desire(learning_rate=RATE), spikes(12, 30).to(dtype)
    state, expected = rule.init(net), weights(net)
    first = weights(net)
    for sample in range(12):
        y = torch.tensor([sample % 5])
        _, state = rule.train_batch(net, Batch(x[:, [sample]], y), state)
        expected = reference.train_one(expected, x[:, sample].numpy(), sample % 5, RATE)
        for now, should in zip(weights(net), expected, strict=True):
            np.testing.assert_array_equal(now, should)
    assert all((now != old).mean() > 0.1 for now, old in zip(expected, first, strict=True))


def test_dropped_neurons_are_those_of_the_reference_bit_for_bit() -> None:
    net = network(30, 60, 40, 5, dropout=0.5, first=0.25)
    rule, x = Desire(learning_rate=RATE), spikes(6, 30)
    state = rule.init(net)
    for sample in range(6):
        before, y = weights(net), torch.tensor([sample % 5])
        dropped = draw_dropped(chain_of(net), 1, state)
        out = [dropped[place][0] for place in range(3)]
        # One p for all layers of the reference: their inputs differ in nothing but that.
        trains = reference.run(before[:1], x[:, sample].numpy(), out[:1], 0.25)
        later = reference.run(before[1:], trains[-1], out[1:], 0.5)
        _, state = rule.train_batch(net, Batch(x[:, [sample]], y), state)
        told = reference.signs(before, [*trains[:1], *later], sample % 5, 16, out=out)
        for layer, (now, old) in enumerate(zip(weights(net), before, strict=True)):
            fired = later[layer].sum(0) > 0
            changed = (now != old).any(1)
            np.testing.assert_array_equal(changed, (told[layer] != 0) & fired)
            assert not (now != old)[:, out[layer]].any()


def test_dropped_neurons_never_learn_nor_teach() -> None:
    net = network(30, 60, 40, 5, dropout=0.5)
    rule, state = Desire(learning_rate=0.01), {"samples": 0, "step": 3, "key": 7}
    dropped = draw_dropped(chain_of(net), 1, state)
    before = weights(net)
    rule.train_batch(net, Batch(spikes(1, 30), torch.tensor([2])), state)
    for layer, (now, old) in enumerate(zip(weights(net), before, strict=True)):
        assert (now != old).any()
        if layer in dropped:
            assert 0.2 < dropped[layer].mean() < 0.8
            assert (now == old)[:, dropped[layer][0]].all()
        if layer + 1 in dropped:
            assert (now == old)[dropped[layer + 1][0]].all()


def test_a_batch_adds_up_what_each_sample_changes() -> None:
    x, y = spikes(8, 30), torch.arange(8) % 5
    net, rule = network(30, 50, 20, 5, dtype=torch.float64), Desire(learning_rate=RATE)
    start = weights(net)
    total = [np.zeros_like(weight) for weight in start]
    for sample in range(8):
        after = reference.train_one(start, x[:, sample].double().numpy(), int(y[sample]), RATE)
        total = [sums + new - old for sums, new, old in zip(total, after, start, strict=True)]
    rule.train_batch(net, Batch(x.double(), y), rule.init(net))
    for now, old, change in zip(weights(net), start, total, strict=True):
        np.testing.assert_allclose(now - old, change, rtol=0, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 31, 32, 33, 70])
def test_any_number_of_steps_gives_the_spikes_of_the_reference(steps: int) -> None:
    net, x = network(20, 130, 3), spikes(3, 20, steps=steps)
    ran = forward(chain_of(net), x)
    for sample in range(3):
        trains = reference.run(weights(net), x[:, sample].numpy(), [None, None], 0.0)
        np.testing.assert_array_equal(counts(ran.inputs[1])[sample], trains[1].sum(0))
        np.testing.assert_array_equal(counts(ran.outputs)[sample], trains[2].sum(0))
        bits = [[int(ran.inputs[1][sample, n, t // 32]) >> t % 32 & 1 for n in range(130)]
                for t in range(steps)]  # fmt: skip
        np.testing.assert_array_equal(np.array(bits), trains[1])


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("order", ["exact", "euler"])
def test_spikes_are_those_of_the_network_itself(order: Any, inclusive: bool) -> None:
    torch.manual_seed(0)
    cells: dict[str, Any] = {
        "order": order, "tau_mem": 6e-3, "v_threshold": 0.25,
        "firing": sw.Firing("subtract", inclusive=inclusive),
    }  # fmt: skip
    constant = sw.IF(firing=cells["firing"])
    net = sw.Sequential(
        constant, sw.Linear(9, 70, bias=False), sw.LIF(**cells), sw.Linear(70, 4, bias=False),
        sw.IF(firing=cells["firing"], v_threshold=0.5, r=0.7), dt=DT,
    )  # fmt: skip
    x = torch.rand(6, 9).round(decimals=2).expand(30, 6, 9)
    net.build((9,))
    for weight in net.parameters():
        weight.data = (weight.data * 8).round() / 8  # sums without rounding, in any order
    ran = forward(chain_of(net), x)
    with torch.no_grad():
        run = net.run(x)
    kinds = [name for name in run.records if "spikes" in run.records[name]]
    for name, trains in zip(kinds, (*ran.inputs, ran.outputs), strict=True):
        expected = run.records[name]["spikes"].sum(0).numpy()
        assert expected.sum() > 0
        np.testing.assert_array_equal(counts(trains), expected)


def test_neurons_at_the_input_make_the_deterministic_rate_code() -> None:
    values = torch.arange(256).float()[None] / 256
    net = network(256, 3)
    with_if = sw.Sequential(sw.IF(firing=CELLS["firing"]), *net.layers.values(), dt=DT)
    with_if.build((256,))
    coded = sw.coding.Deterministic(STEPS, DT, phase=0.0)(values)
    plain = forward(chain_of(net), coded)
    current = forward(chain_of(with_if), values.expand(STEPS, 1, 256))
    np.testing.assert_array_equal(plain.inputs[0], current.inputs[0])


def test_a_margin_that_leaves_no_count_is_refused() -> None:
    net = network(5, 3)
    batch = Batch(spikes(1, 5, steps=4), torch.tensor([0]))
    rule = Desire(margin=4)
    with pytest.raises(RuleError, match="margin must be below the input's 4 steps, got 4"):
        rule.train_batch(net, batch, rule.init(net))
    Desire(margin=3).train_batch(net, batch, rule.init(net))
